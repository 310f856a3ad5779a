// Writes the table of options as a commented configuration file.
#include <fmt/format.h>

#include "server/config_table.h"

namespace qkms::server {

namespace {

constexpr std::string_view kHeading =
    "# qkmsd: every option, with its default and what it accepts. Options that have a default are commented out "
    "(\"#name = value\");\n"
    "# options without one show an example. This text is made by the program itself: qkmsctl reference-config.\n";

std::string render(const Option& option) {
  const std::string_view mark = option.need == Need::kRequired || option.need == Need::kSometimes ? "" : "#";
  return fmt::format("# {}\n#   accepted: {}\n{}{} = {}\n", option.sentence, option.accepted, mark, option.name,
                     option.shown);
}

// A further example of a section that occurs many times: what it must have, and no explanations again.
std::string render_briefly(const Option& option) {
  return option.need == Need::kRequired ? fmt::format("{} = {}\n", option.name, option.shown) : "";
}

std::string render(const Section& section, const std::string& prefix) {
  const std::string path = prefix + section.name;
  const bool many = section.occurs == Occurs::kManyTimes;
  std::string out;
  for (int example = 0; example < section.examples; ++example) {
    out += example == 0 ? fmt::format("\n# {}\n", section.sentence) : "\n";
    out += many ? fmt::format("[[{}]]\n", path) : fmt::format("[{}]\n", path);
    for (const auto& option : section.open()) out += example == 0 ? render(option) : render_briefly(option);
    for (const auto& subsection : section.subsections) {
      if (subsection.wanted()) out += render(subsection, path + ".");
    }
  }
  return out;
}

}  // namespace

std::string reference_config() {
  Draft draft;
  std::string out(kHeading);
  for (const auto& section : sections_of(draft)) out += render(section, "");
  return out;
}

}  // namespace qkms::server
