// What qkmsctl can do: a table of commands. main.cc finds the one that is meant and runs it.
#pragma once

#include <functional>
#include <string_view>
#include <vector>

#include "cli/arguments.h"

namespace qkms::cli {

struct Command {
  std::string_view name;
  std::string_view sentence;
  ArgumentSpec arguments;
  std::function<Result<void>(const Arguments&)> run;  // prints what it has to say; an error's text is for main to print
  // What the table cannot say about the arguments: an error is a wrong command line.
  std::function<Result<void>(const Arguments&)> accepts = {};
};

std::vector<Command> commands();

}  // namespace qkms::cli
