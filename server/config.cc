// Reads the configuration file against the table of options. All problems are collected and reported together; only a
// file that is no TOML at all, or names a key twice, stops at the first.
#include "server/config.h"

#include <fmt/format.h>
#include <toml++/toml.h>

#include <algorithm>
#include <fstream>

#include "base/text.h"
#include "server/config_check.h"
#include "server/config_table.h"

namespace qkms::server {

namespace {

int line_of(const toml::node& node) { return static_cast<int>(node.source().begin.line); }

Value value_of(const toml::node& node) {
  if (const auto* text = node.as_string()) return text->get();
  if (const auto* whole = node.as_integer()) return whole->get();
  if (const auto* real = node.as_floating_point()) return real->get();
  if (const auto* truth = node.as_boolean()) return truth->get();
  const auto* array = node.as_array();
  if (array == nullptr) return std::monostate();
  std::vector<std::string> texts;
  for (const auto& element : *array) {
    const auto* text = element.as_string();
    if (text == nullptr) return std::monostate();
    texts.push_back(text->get());
  }
  return texts;
}

std::string shown(const toml::node& node) {
  if (const auto* text = node.as_string()) return fmt::format("\"{}\"", printable(text->get()));
  if (const auto* whole = node.as_integer()) return fmt::format("{}", whole->get());
  if (const auto* real = node.as_floating_point()) return fmt::format("{}", real->get());
  if (const auto* truth = node.as_boolean()) return truth->get() ? "true" : "false";
  if (node.is_array()) return "a list";
  return node.is_table() ? "a table" : "a date or time";
}

std::string joined(const std::vector<std::string_view>& words) {
  std::string out;
  for (const auto word : words) out += (out.empty() ? "" : ", ") + std::string(word);
  return out;
}

class Reader {
 public:
  Reader(Lines& lines, Problems& problems) : lines_(lines), problems_(problems) {}

  void read_file(const toml::table& root, const std::vector<Section>& sections) {
    refuse_unknown(root, "", "section", names_of({}, sections));
    read_sections(root, sections, "", 1);
  }

 private:
  static std::vector<std::string_view> names_of(const std::vector<Option>& options,
                                                const std::vector<Section>& sections) {
    std::vector<std::string_view> names;
    for (const auto& option : options) names.push_back(option.name);
    for (const auto& section : sections) names.push_back(section.name);
    return names;
  }

  // `prefix` is "" or ends in a dot; `path` is what messages say, and `key` the same with indices, for `lines_`.
  void read_sections(const toml::table& parent, const std::vector<Section>& sections, const std::string& prefix,
                     int parent_line) {
    for (const auto& section : sections) {
      const toml::node* node = parent.get(section.name);
      const std::string path = prefix + section.name;
      if (!section.wanted()) {
        if (node != nullptr)
          problems_.add(line_of(*node), fmt::format("section [{}] does not belong to what was chosen before", path));
        continue;
      }
      if (section.occurs == Occurs::kManyTimes) {
        read_entries(node, section, path);
      } else if (node == nullptr || node->is_table()) {
        static const toml::table kEmpty;
        read_table(node == nullptr ? kEmpty : *node->as_table(), section, path, path,
                   node == nullptr ? parent_line : line_of(*node));
      } else {
        problems_.add(line_of(*node), fmt::format("'{}' is {}; accepted: a section [{}]", path, shown(*node), path));
      }
    }
  }

  void read_entries(const toml::node* node, const Section& section, const std::string& path) {
    if (node == nullptr) return;
    const auto* entries = node->as_array();
    if (entries == nullptr) {
      problems_.add(line_of(*node), fmt::format("'{}' is {}; accepted: sections [[{}]]", path, shown(*node), path));
      return;
    }
    std::size_t index = 0;
    for (const auto& entry : *entries) {
      if (const auto* table = entry.as_table()) {
        read_table(*table, section, path, fmt::format("{}[{}]", path, index++), line_of(entry));
      } else {
        problems_.add(line_of(entry), fmt::format("'{}' has {}; accepted: sections [[{}]]", path, shown(entry), path));
      }
    }
  }

  void read_table(const toml::table& table, const Section& section, const std::string& path, const std::string& key,
                  int line) {
    lines_[key] = line;
    const std::vector<Option> options = section.open();
    refuse_unknown(table, path + ".", "option", names_of(options, section.subsections));
    for (const auto& option : options) read_option(table, option, path, key, line);
    read_sections(table, section.subsections, path + ".", line);
  }

  void read_option(const toml::table& table, const Option& option, const std::string& path, const std::string& key,
                   int line) {
    const toml::node* node = table.get(option.name);
    if (node == nullptr) {
      if (option.need != Need::kRequired) return;
      problems_.add(line, fmt::format("option '{}.{}' is missing; accepted: {}", path, option.name, option.accepted));
      return;
    }
    lines_[key + "." + option.name] = line_of(*node);
    if (option.set(value_of(*node))) return;
    problems_.add(line_of(*node),
                  fmt::format("option '{}.{}' is {}; accepted: {}", path, option.name, shown(*node), option.accepted));
  }

  void refuse_unknown(const toml::table& table, const std::string& prefix, std::string_view what,
                      const std::vector<std::string_view>& known) {
    for (const auto& [key, node] : table) {
      if (std::ranges::find(known, key.str()) != known.end()) continue;
      if (refuse_former(prefix + std::string(key.str()), static_cast<int>(key.source().begin.line), node)) continue;
      const auto meant = nearest(key.str(), known);
      const std::string hint = meant.empty() ? "" : fmt::format(" Did you mean '{}{}'?", prefix, meant);
      problems_.add(
          static_cast<int>(key.source().begin.line),
          fmt::format("unknown {} '{}{}'.{} Accepted: {}", what, prefix, printable(key.str()), hint, joined(known)));
    }
  }

  // Whoever comes from an older release is told what to write now.
  bool refuse_former(const std::string& path, int line, const toml::node& node) {
    if (path != "kme.master_key_file") return false;
    const auto* file = node.as_string();
    problems_.add(line, fmt::format("option '{}' is no more; write: master_key = \"file:{}\"", path,
                                    file != nullptr ? printable(file->get()) : "PATH"));
    return true;
  }

  Lines& lines_;
  Problems& problems_;
};

Result<toml::table> parse_toml(std::string_view text, std::string_view name) {
  try {
    return toml::parse(text);
  } catch (const toml::parse_error& error) {
    return fail(ErrorCode::kInvalid, fmt::format("{}:{}: not TOML in UTF-8: {}", name, error.source().begin.line,
                                                 printable(error.description(), 300)));
  }
}

Result<std::string> read_text(const std::filesystem::path& file) {
  std::error_code error;
  const auto status = std::filesystem::status(file, error);
  if (status.type() == std::filesystem::file_type::not_found) {
    return fail(ErrorCode::kNotFound, fmt::format("{}: no such file; accepted: a configuration file", file.string()));
  }
  if (status.type() != std::filesystem::file_type::regular) {
    return fail(ErrorCode::kInvalid,
                fmt::format("{}: not a regular file; accepted: a configuration file", file.string()));
  }
  std::ifstream in(file, std::ios::binary);
  std::string text(kMaxConfigBytes + 1, '\0');
  in.read(text.data(), static_cast<std::streamsize>(text.size()));
  if (!in.is_open() || in.bad())
    return fail(ErrorCode::kIo, fmt::format("{}: cannot be read by this user", file.string()));
  text.resize(static_cast<std::size_t>(in.gcount()));
  if (text.size() <= kMaxConfigBytes) return text;
  return fail(ErrorCode::kInvalid,
              fmt::format("{}: too large; accepted: at most {} bytes", file.string(), kMaxConfigBytes));
}

void make_absolute(Config& config, const std::filesystem::path& folder) {
  const auto fix = [&folder](std::filesystem::path& path) {
    if (!path.empty()) path = (folder / path).lexically_normal();
  };
  for (auto* listener : {&config.sae, &config.peer, &config.operators}) {
    for (auto* path : {&listener->certificate, &listener->key, &listener->ca, &listener->crl}) fix(*path);
  }
  fix(config.state_dir);
  config.master_key = storage::resolved(std::move(config.master_key), folder);
  fix(config.keyring_file);
  fix(config.audit_syslog);
  for (LinkConfig& link : config.links) {
    fix(link.files.folder);
    for (drivers::TlsSettings* tls : {&link.etsi004.tls, &link.etsi014.tls}) {
      for (auto* path : {&tls->certificate, &tls->key, &tls->ca, &tls->crl}) fix(*path);
    }
  }
}

}  // namespace

Result<Config> parse_config(std::string_view toml, std::string_view name) {
  const auto root = parse_toml(toml, name);
  if (!root) return std::unexpected(root.error());
  Draft draft;
  Lines lines;
  Problems problems;
  Reader(lines, problems).read_file(*root, sections_of(draft));
  Config config = finish(std::move(draft), lines, problems);
  if (!problems.empty()) return fail(ErrorCode::kInvalid, problems.text(name));
  return config;
}

Result<Config> read_config(const std::filesystem::path& file) {
  const auto text = read_text(file);
  if (!text) return std::unexpected(text.error());
  auto config = parse_config(*text, file.string());
  if (config) make_absolute(*config, std::filesystem::absolute(file).parent_path());
  return config;
}

}  // namespace qkms::server
