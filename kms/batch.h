// What the handling of one batch of events works on: the time, what was loaded, and what comes out. Lives for one
// Node::step.
#pragma once

#include <map>
#include <string>
#include <utility>
#include <vector>

#include "kms/event.h"
#include "kms/store.h"

namespace qkms::kms {

struct Batch {
  Millis now = 0;
  Needs asked;  // what `loaded` was asked for: of this, what is missing cannot be read
  Loaded loaded;
  Changes changes;
  Effects effects;

  // Why bits of the reservoir shared with a peer are burned in this batch: what Pair::flush writes into the audit log.
  std::map<KmeId, std::vector<std::string>> causes;

  void cause(const KmeId& peer, std::string why) { causes[peer].push_back(std::move(why)); }
  void audit(api::AuditRecord record) { changes.audit.push_back(std::move(record)); }
  void notice(NoticeKind kind, const std::string& subject, std::string text) {
    effects.notices.push_back({kind, subject, std::move(text)});
  }
  void reply(RequestToken token, SaeReply reply) { effects.replies.push_back({token, std::move(reply)}); }
};

}  // namespace qkms::kms
