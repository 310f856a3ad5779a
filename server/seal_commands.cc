#include "server/seal_commands.h"

#include <fmt/format.h>
#include <spdlog/spdlog.h>

#include <utility>

namespace qkms::server {
namespace {

using State = kms::Node::State;

constexpr const char* kNotSealed = "it is not sealed\n";

Error ending() { return {ErrorCode::kClosed, "the outcome of a commit is unknown: the daemon ends"}; }

}  // namespace

void SealCommands::seal(std::string who, Answer answer) {
  const auto shared = std::make_shared<Answer>(std::move(answer));
  const auto queued =
      engine_.between_batches([this, who = std::move(who), shared] { seal_now(who, std::move(*shared)); });
  if (!queued) (*shared)(std::unexpected(queued.error()));
}

void SealCommands::seal_now(const std::string& who, Answer answer) {
  if (engine_.state() == State::kSealed) return answer("it is sealed already\n");
  hooks_.closing();
  engine_.seal({.action = api::AuditAction::kSeal, .actor = who});
  if (engine_.state() != State::kSealed) return answer(std::unexpected(ending()));
  store_.seal();
  spdlog::warn("{} has sealed the KME: the master key is wiped from memory, no key goes out until it is unsealed", who);
  answer("sealed: no key goes out before qkmsctl unseal\n");
}

void SealCommands::unseal(std::string who, SecretBytes typed, Answer answer) {
  if (engine_.state() != State::kSealed) return answer(kNotSealed);
  if (Clock::now() < not_before_.load()) {
    return answer(
        fail(ErrorCode::kRateLimited, fmt::format("the last attempt was refused: wait {} s", kPause.count())));
  }
  const bool asks_what_to_type = typed.empty();
  keys_.fetch(std::move(typed), [this, asks_what_to_type, who = std::move(who), answer = std::move(answer)](
                                    Result<SecretBytes> key, const std::string& where) mutable {
    if (!key && (key.error().code == ErrorCode::kOverloaded ||
                 (asks_what_to_type && key.error().code == ErrorCode::kUnauthorised))) {
      return answer(std::unexpected(key.error()));
    }
    Attempt attempt{std::move(who), where, std::move(answer)};
    if (!key) return refuse(std::move(attempt), key.error());
    const auto shared = std::make_shared<Attempt>(std::move(attempt));
    const auto queued = engine_.between_batches(
        [this, shared, key = std::move(*key)]() mutable { open(std::move(*shared), std::move(key)); });
    if (!queued) shared->answer(std::unexpected(queued.error()));
  });
}

// The engine's thread from here on, but for refuse(), which any thread may call.
void SealCommands::open(Attempt attempt, SecretBytes master_key) {
  if (engine_.state() != State::kSealed) return attempt.answer(kNotSealed);
  if (const auto opened = store_.unseal(std::move(master_key)); !opened) {
    wipe_traces();
    return refuse(std::move(attempt), opened.error());
  }
  hooks_.opened();
  const auto unsealed =
      engine_.unseal({.action = api::AuditAction::kUnseal, .actor = attempt.who, .subject = attempt.where});
  if (engine_.state() == State::kDead) return attempt.answer(std::unexpected(ending()));
  if (!unsealed) {
    const std::string trouble = store_.trouble();
    store_.seal();
    return refuse(std::move(attempt),
                  {unsealed.error().code, unsealed.error().text + (trouble.empty() ? "" : ": " + trouble)});
  }
  spdlog::warn("{} has unsealed the KME with the key of {}", attempt.who, attempt.where);
  attempt.answer("unsealed; keys that were stored go out when all peers have been heard\n");
}

// The record goes into the audit log when the store opens next: until then the node keeps it.
void SealCommands::refuse(Attempt attempt, const Error& why) {
  ++refused_;
  not_before_ = Clock::now() + kPause;
  spdlog::warn("{} could not unseal the KME: {}", attempt.who, why.text);
  const auto queued = engine_.push(kms::AuditEvent{{.action = api::AuditAction::kUnseal,
                                                    .actor = attempt.who,
                                                    .subject = attempt.where,
                                                    .reason = "refused: " + why.text}});
  if (!queued) spdlog::warn("not in the audit log: {}", queued.error().text);
  attempt.answer(std::unexpected(why));
}

}  // namespace qkms::server
