// How often each thing happened, so that a green run can show that it met what it claims to survive.
#pragma once

#include <array>
#include <cstdint>
#include <string_view>

namespace qkms::sim {

// clang-format does not come to rest on this macro.
// clang-format off
// X(name of the constant, how it is printed)
#define QKMS_SIM_COUNTS(X)                                                                                             \
  X(kSteps, "steps")                                                                                                   \
  X(kEvents, "events") X(kKeysToMasters, "keys_to_masters") X(kKeysToSlaves, "keys_to_slaves") X(kPads, "pads")        \
      X(kCrashBefore, "crash_before_step") X(kCrashAfter, "crash_after_commit") X(kCrashInCommit, "crash_in_commit")   \
          X(kRowDamaged, "row_damaged") X(kCommitFailed, "commit_failed") X(kUnknownApplied, "commit_unknown_applied") \
              X(kUnknownLost, "commit_unknown_lost") X(kRestartFailed, "restart_failed") X(kSessions, "sessions")      \
                  X(kSessionBroken, "session_broken") X(kHalfOpen, "half_open") X(kFramesLost, "frames_lost")          \
                      X(kPartition, "partition") X(kOneWayPartition, "one_way_partition")                              \
                          X(kSlowPeriod, "slow_period") X(kFrameDuplicated, "frame_duplicated")                        \
                              X(kFrameReordered, "frame_reordered") X(kFrameEncoded, "frame_encoded")                  \
                                  X(kBlockLost, "block_lost") X(kBlockDelayed, "block_delayed")                        \
                                      X(kBlockCorrupted, "block_corrupted") X(kBlockRepeated, "block_repeated")        \
                                          X(kReplyLost, "reply_lost") X(kWrongCaller, "wrong_caller")                  \
                                              X(kWrongMaster, "wrong_master") X(kFetchTwice, "fetch_twice")            \
                                                  X(kFetchMixed, "fetch_mixed") X(kFetchLate, "fetch_late")           \
                                                  X(kPolicyReplaced, "policy_replaced")                                \
                                                      X(kPolicyForNextLife, "policy_for_next_life")                    \
                                                          X(kPolicyTweaked, "policy_tweaked") X(kSaeAway, "sae_away")  \
                                                              X(kPeerAway, "peer_away") X(kLinkAway, "link_away")      \
                                                                  X(kBackAgain, "back_again")                          \
                                                                      X(kAskYoung, "ask_young")                        \
                                                                          X(kYoungKeys, "young_keys")                  \
                                                                              X(kAskRoute, "ask_route")                \
                                                                                  X(kLevelsSeen, "levels_seen")                        \
  X(kStoreCopied, "store_copied") X(kPutBackMarked, "put_back_marked") X(kPutBackUnmarked, "put_back_unmarked")        \
  X(kFetchAgain, "fetch_again") X(kPutBackNoticed, "put_back_noticed")     \
  X(kPutBackNoticedAgain, "put_back_noticed_again") X(kSealed, "sealed") X(kStartedSealed, "started_sealed")            \
  X(kUnsealed, "unsealed") X(kUnsealFailed, "unseal_failed") X(kPutBackWhileSealed, "put_back_while_sealed")                      \
  X(kAccountsTold, "accounts_told") X(kAccountsCompared, "accounts_compared")
// clang-format on

enum class Count {
#define X(constant, text) constant,
  QKMS_SIM_COUNTS(X)
#undef X
      kCount
};

inline constexpr std::size_t kMessageKinds = 11;  // the alternatives of api::Message, then Hello and Heartbeat
inline constexpr std::size_t kAnswerKinds = 10;   // of Answer
inline constexpr std::size_t kMaxNoticeKinds = 32;

struct Counts {
  std::array<std::uint64_t, static_cast<std::size_t>(Count::kCount)> things{};
  std::array<std::uint64_t, kMessageKinds> messages{};
  std::array<std::uint64_t, 3 * kAnswerKinds> answers{};  // by CallKind, then Answer
  std::array<std::uint64_t, kMaxNoticeKinds> notices{};   // by kms::NoticeKind

  void add(Count what, std::uint64_t times = 1) { things[static_cast<std::size_t>(what)] += times; }
  std::uint64_t of(Count what) const { return things[static_cast<std::size_t>(what)]; }
  void add(const Counts& other);
};

void print(const Counts& counts);

}  // namespace qkms::sim
