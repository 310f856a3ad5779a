#include "server/link_page.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>

#include "api/json_writer.h"

namespace qkms::server {
namespace {

// Writes one object; strings are escaped, numbers are written as they are.
class ObjectWriter {
 public:
  explicit ObjectWriter(std::string& out) : out_(out) { out_ += '{'; }
  void end() { out_ += '}'; }
  void text(std::string_view name, std::string_view value) {
    start(name);
    api::append_json_string(out_, value);
  }
  template <class Number>
  void number(std::string_view name, Number value) {
    start(name);
    out_ += fmt::format("{}", value);
  }
  template <class Write>
  void array(std::string_view name, const auto& items, Write write) {
    start(name);
    out_ += '[';
    bool first = true;
    for (const auto& item : items) {
      if (!std::exchange(first, false)) out_ += ',';
      write(item);
    }
    out_ += ']';
  }

 private:
  void start(std::string_view name) {
    if (!std::exchange(first_, false)) out_ += ',';
    api::append_json_string(out_, name);
    out_ += ':';
  }
  std::string& out_;
  bool first_ = true;
};

Millis now_ms() {
  using namespace std::chrono;
  return duration_cast<milliseconds>(steady_clock::now().time_since_epoch()).count();
}

void write_report(const kms::LinkReport& report, ObjectWriter& object) {
  object.text("peer", report.peer.str());
  object.number("received", report.blocks_received);
  object.number("accepted", report.blocks_accepted);
  object.number("mismatched", report.blocks_mismatched);
  object.number("expired", report.blocks_expired);
  object.number("repeated", report.blocks_repeated);
  object.number("refused", report.blocks_refused);
  object.number("waiting", report.pending_blocks);
}

void write_device(const drivers::DeviceReport& device, ObjectWriter& object) {
  if (device.qber) object.number("qber_ppm", static_cast<std::int64_t>(*device.qber * 1e6));
  if (device.rate_bps) object.number("device_rate_bps", static_cast<std::int64_t>(*device.rate_bps));
}

void write_link(const drivers::LinkStatus& link, const kms::LinkReport* report, std::string& out) {
  const Millis now = now_ms();
  ObjectWriter object(out);
  object.text("link", link.link.str());
  object.text("driver", link.driver);
  if (link.simulated) object.number("simulated", true);
  object.text("state", name_of(link.state));
  if (!link.error.empty()) object.text("error", link.error);
  if (!link.held.empty()) object.text("held", link.held);
  object.number("restarts", link.restarts);
  object.number("blocks", link.blocks);
  object.number("bytes", link.bytes);
  object.number("rate_bps", static_cast<std::int64_t>(link.rate_bps));
  if (link.last_block_at) object.number("last_block_s", (now - *link.last_block_at) / 1000);
  write_device(link.device, object);
  object.number("quarantined", link.quarantined);
  object.number("rejected", link.rejected);
  if (report != nullptr) write_report(*report, object);
  object.array("alarms", link.alarms, [&](const auto& alarm) {
    ObjectWriter one(out);
    one.text("alarm", name_of(alarm.first));
    one.text("text", alarm.second);
    one.end();
  });
  object.array("incidents", link.incidents, [&](const drivers::Incident& incident) {
    ObjectWriter one(out);
    one.number("s_ago", (now - incident.at) / 1000);
    one.text("text", incident.text);
    one.end();
  });
  object.end();
}

}  // namespace

std::string links_json(const std::vector<drivers::LinkStatus>& links, const std::vector<kms::LinkReport>& reports) {
  std::string out = "[";
  for (const drivers::LinkStatus& link : links) {
    if (out.size() > 1) out += ",\n";
    const auto report = std::ranges::find(reports, link.link, &kms::LinkReport::link);
    write_link(link, report == reports.end() ? nullptr : &*report, out);
  }
  return out + "]\n";
}

}  // namespace qkms::server
