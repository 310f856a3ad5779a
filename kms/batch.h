// What the handling of one batch of events works on: the time, what was loaded, and what comes out. Lives for one
// Node::step.
#pragma once

#include <string>
#include <utility>

#include "kms/event.h"
#include "kms/store.h"

namespace qkms::kms {

struct Batch {
  Millis now = 0;
  Needs asked;  // what `loaded` was asked for: of this, what is missing cannot be read
  Loaded loaded;
  Changes changes;
  Effects effects;

  void notice(NoticeKind kind, const std::string& subject, std::string text) {
    effects.notices.push_back({kind, subject, std::move(text)});
  }
  void reply(RequestToken token, SaeReply reply) { effects.replies.push_back({token, std::move(reply)}); }
};

}  // namespace qkms::kms
