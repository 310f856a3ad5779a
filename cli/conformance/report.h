// What a run has found, for people and for programs: a line for each check, JSON, JUnit XML and Markdown. None of it
// holds a key bit, and the Markdown nothing that differs from run to run.
#pragma once

#include <string>
#include <vector>

#include "cli/conformance/check.h"
#include "cli/conformance/run.h"

namespace qkms::cli::conformance {

struct Finding {
  const Check* check;
  Verdict verdict;
  std::vector<Exchange> exchanges;

  // "pass", "fail", "skipped", or "observed" where the standard is silent.
  std::string_view result() const;
  // A `shall` that is not met: what makes the run fail.
  bool breaks_the_standard() const;
};

struct Report {
  std::string kme;  // the URL's host and port
  std::size_t keys_taken = 0;
  std::vector<Finding> findings;
};

// "pass      shall         014-5.2-get  Get status is GET …", and below it why, where there is something to say.
std::string line_of(const Finding& finding);
std::string summary_of(const Report& report);
std::string as_json(const Report& report);
std::string as_junit(const Report& report);
std::string as_markdown(const Report& report);

}  // namespace qkms::cli::conformance
