#include "sim/clients.h"

#include <algorithm>

namespace qkms::sim {
namespace {

constexpr unsigned kMostTries = 60;

Answer answer_of(const Error& error, Doubt doubt) {
  switch (error.code) {
    case ErrorCode::kUnauthorised:
      return Answer::kDenied;
    case ErrorCode::kKeyNotFound:
      return Answer::kNotFound;
    case ErrorCode::kInvalid:
    case ErrorCode::kSizeNotMultipleOf8:
      return Answer::kInvalid;
    case ErrorCode::kExtensionUnmet:
      return Answer::kUnmet;
    case ErrorCode::kRateLimited:
    case ErrorCode::kOverQuota:
      return Answer::kLimited;
    case ErrorCode::kPoolExhausted:
    case ErrorCode::kReserved:
      return Answer::kShort;
    case ErrorCode::kClosed:
      return doubt == Doubt::kAll ? Answer::kUnknown : Answer::kRetry;
    default:
      return Answer::kRetry;
  }
}

}  // namespace

Clients::Clients(Context& context, std::vector<std::unique_ptr<Site>>& sites, Wire& wire)
    : context_(context), sites_(sites), wire_(wire) {
  for (std::size_t i = 0; i < context.topology.saes.size(); ++i) indexes_.emplace(context.topology.saes[i], i);
}

void Clients::start() { schedule_request(); }

void Clients::schedule_request() {
  const Millis every = context_.settings.request_every_ms;
  context_.scheduler.after(context_.random.between(0, 2 * every), [this] {
    if (stopped_) return;
    random_request();
    schedule_request();
  });
}

Clients::Pending Clients::pending_of(std::size_t caller, CallKind kind) const {
  Pending pending;
  pending.site = site_of(caller);
  pending.caller = caller;
  pending.call.kind = kind;
  return pending;
}

// --- asking --------------------------------------------------------------------------------------

void Clients::random_request() {
  Prng& random = context_.random;
  const std::size_t saes = context_.topology.saes.size();
  const std::size_t master = random.below(saes);
  // Mostly sensible: now and then the caller itself, or the same slave twice.
  const auto draw = [&] {
    const std::size_t drawn = random.below(saes);
    return drawn != master || random.chance(50) ? drawn : (drawn + 1) % saes;
  };
  const std::size_t slave = draw();
  if (random.chance(40)) return status(master, slave);
  std::vector<std::size_t> slaves{slave};
  while (random.chance(300) && slaves.size() < 5) {
    const std::size_t more = draw();
    if (std::ranges::count(slaves, more) == 0 || random.chance(50)) slaves.push_back(more);
  }
  get_key(master, std::move(slaves), std::nullopt, 0);
}

void Clients::status(std::size_t caller, std::size_t slave) {
  Pending pending = pending_of(caller, CallKind::kStatus);
  pending.call.other = sae(slave);
  ask(std::move(pending), kms::StatusRequest{sae(caller), sae(slave)});
}

void Clients::get_key(std::size_t master, std::vector<std::size_t> slaves, std::optional<std::size_t> probe,
                      Millis patience_ends) {
  Prng& random = context_.random;
  Pending pending = pending_of(master, CallKind::kGetKey);
  pending.call.other = sae(slaves.front());
  for (std::size_t i = 1; i < slaves.size(); ++i) pending.call.additional.push_back(sae(slaves[i]));
  pending.call.number = probe ? 1 : static_cast<std::uint32_t>(random.between(1, context_.settings.most_keys));
  // Odd sizes too, so that ranges end anywhere; now and then one that is not allowed.
  pending.call.size_bytes =
      probe || random.chance(500) ? 32 : static_cast<std::uint32_t>(random.between(random.chance(50) ? 7 : 8, 80));
  pending.probe = probe;
  pending.patience_ends = patience_ends;
  kms::KeyRequest request{sae(master), pending.call.other, pending.call.additional, pending.call.number,
                          std::uint64_t{pending.call.size_bytes} * 8};
  if (!probe && context_.settings.conditions && random.chance(400)) set_conditions(pending.call, request);
  ask(std::move(pending), std::move(request));
}

void Clients::set_conditions(Call& call, kms::KeyRequest& request) {
  Prng& random = context_.random;
  if (random.chance(600)) {
    context_.counts.add(Count::kAskYoung);
    call.max_age = request.must.max_age_ms = random.between(50, 4000);
  }
  if (random.chance(300)) request.prefer.max_age_ms = random.between(50, 4000);
  if (random.chance(300)) {
    context_.counts.add(Count::kAskRoute);
    call.route = random.chance(700) ? Route::kDirect : Route::kIndirect;
    request.must.route_type = call.route == Route::kDirect ? kms::RouteType::kDirect : kms::RouteType::kIndirect;
  }
  if (random.chance(200)) request.prefer.route_type = kms::RouteType::kDirect;
}

void Clients::fetch(std::size_t slave, std::size_t master, std::vector<KeyId> ids, unsigned tries) {
  if (ids.empty()) return;
  Pending pending = pending_of(slave, CallKind::kFetch);
  pending.tries = tries;
  pending.call.other = sae(master);
  pending.call.asked = ids;
  ask(std::move(pending), kms::KeyIdsRequest{sae(slave), sae(master), std::move(ids)});
}

void Clients::fetch_later(Millis delay, std::size_t slave, std::size_t master, std::vector<KeyId> ids, unsigned tries) {
  ++planned_;
  context_.scheduler.after(delay, [this, slave, master, ids = std::move(ids), tries]() mutable {
    --planned_;
    fetch(slave, master, std::move(ids), tries);
  });
}

void Clients::ask(Pending pending, kms::SaeRequest request) {
  pending.call.start = context_.scheduler.now();
  pending.call.kme = context_.topology.kmes[pending.site];
  pending.call.caller = sae(pending.caller);
  if (!sites_[pending.site]->up()) {
    pending.call.answer = Answer::kRetry;  // no connection: certainly nothing happened
    return finish(std::move(pending));
  }
  const kms::RequestToken token = next_token_++;
  Site& site = *sites_[pending.site];
  pending_.emplace(token, std::move(pending));
  site.post(kms::SaeEvent{token, std::move(request)});
}

// --- being answered ------------------------------------------------------------------------------

void Clients::answered(std::size_t, kms::ReplyEffect reply, Doubt doubt) {
  const auto found = pending_.find(reply.token);
  if (found == pending_.end()) {
    context_.history.alarms.push_back(
        {context_.scheduler.now(), {}, "an answer to a question that nobody asked, or a second one"});
    return;
  }
  Pending pending = std::move(found->second);
  pending_.erase(found);
  Call& call = pending.call;
  if (const auto* error = std::get_if<Error>(&reply.reply)) {
    call.answer = answer_of(*error, doubt);
  } else if (std::holds_alternative<kms::StatusReply>(reply.reply)) {
    call.answer = Answer::kStatus;
  } else if (context_.strikes(context_.settings.faults.reply_lost, Count::kReplyLost)) {
    call.answer = Answer::kUnknown;
  } else {
    auto& keys = std::get<kms::KeysReply>(reply.reply);
    call.answer = Answer::kKeys;
    call.ids = std::move(keys.ids);
    call.sizes = std::move(keys.sizes);
    call.bits = std::move(keys.bits);
  }
  finish(std::move(pending));
}

void Clients::site_crashed(std::size_t site) {
  std::vector<Pending> unanswered;
  for (auto at = pending_.begin(); at != pending_.end();) {
    if (at->second.site != site) {
      ++at;
      continue;
    }
    unanswered.push_back(std::move(at->second));
    at = pending_.erase(at);
  }
  for (Pending& pending : unanswered) finish(std::move(pending));
}

void Clients::finish(Pending pending) {
  Call& call = pending.call;
  call.end = context_.scheduler.now();
  context_.counts.answers[static_cast<std::size_t>(call.kind) * kAnswerKinds + static_cast<std::size_t>(call.answer)]++;
  context_.trace("{} {} {} -> answer {} ({} keys)", call.caller.str(),
                 call.kind == CallKind::kGetKey  ? "wants keys for"
                 : call.kind == CallKind::kFetch ? "fetches keys of"
                                                 : "asks about",
                 call.other.str(), static_cast<int>(call.answer), call.ids.size());
  if (call.kind == CallKind::kFetch && (call.answer == Answer::kKeys || call.answer == Answer::kUnknown)) {
    for (const KeyId& id : call.asked) gone_.emplace(id, pending.caller);
  }
  if (call.kind == CallKind::kFetch) context_.counts.add(Count::kKeysToSlaves, call.ids.size());
  if (pending.probe) context_.history.probes[*pending.probe].answer = call.answer;
  if (call.max_age) context_.counts.add(Count::kYoungKeys, call.ids.size());
  if (call.answer == Answer::kRetry || call.answer == Answer::kLimited || call.answer == Answer::kShort) again(pending);
  context_.history.calls.push_back(std::move(call));
  const Call& done = context_.history.calls.back();
  if (done.kind == CallKind::kGetKey && done.answer == Answer::kKeys) keys_arrived(done, pending.caller);
}

void Clients::again(const Pending& pending) {
  const Millis pause = context_.random.between(50, 400);
  if (pending.call.kind == CallKind::kFetch && pending.tries < kMostTries) {
    fetch_later(pause, pending.caller, index_of(pending.call.other), pending.call.asked, pending.tries + 1);
  } else if (pending.probe && context_.scheduler.now() < pending.patience_ends) {
    ++planned_;
    context_.scheduler.after(pause, [this, master = pending.caller, slave = index_of(pending.call.other),
                                     probe = pending.probe, ends = pending.patience_ends] {
      --planned_;
      get_key(master, {slave}, probe, ends);
    });
  }
}

// --- passing keys on -----------------------------------------------------------------------------

void Clients::keys_arrived(const Call& call, std::size_t master) {
  context_.counts.add(Count::kKeysToMasters, call.ids.size());
  wire_.keys_known(call.kme, call.ids, call.bits);
  Known known{master, {index_of(call.other)}, call.ids, call.start + context_.history.key_life};
  for (const SaeId& slave : call.additional) known.slaves.push_back(index_of(slave));
  for (std::size_t slave : known.slaves) plan_fetches(known, slave);
  plan_mischief(known);
  known_.push_back(std::move(known));
}

void Clients::plan_fetches(const Known& known, std::size_t slave) {
  Prng& random = context_.random;
  const Millis soon = random.chance(600) ? random.between(0, 20) : random.between(20, 2000);
  const std::uint64_t way = random.below(100);
  if (way < 40) {
    fetch_later(soon, slave, known.master, known.ids);
  } else if (way < 65) {
    for (const KeyId& id : known.ids) fetch_later(soon + random.between(0, 500), slave, known.master, {id});
  } else if (way < 77) {
    context_.counts.add(Count::kFetchTwice);
    fetch_later(soon, slave, known.master, known.ids);
    fetch_later(soon + random.between(0, 300), slave, known.master, known.ids);
  } else if (way < 87 && !known_.empty()) {
    // With keys of another request, which may be of another master, for somebody else, or gone.
    context_.counts.add(Count::kFetchMixed);
    const Known& other = known_[known_.size() - 1 - random.below(std::min<std::size_t>(known_.size(), 8))];
    std::vector<KeyId> ids{known.ids.front(), other.ids.back()};
    ids.insert(ids.end(), known.ids.begin() + 1, known.ids.end());
    fetch_later(soon, slave, known.master, std::move(ids));
  } else if (way < 92 && context_.history.key_life < 10'000) {
    context_.counts.add(Count::kFetchLate);
    fetch_later(context_.history.key_life + random.between(0, 1500), slave, known.master, known.ids);
  }
  // Else: at the end, if they still live then.
}

void Clients::plan_mischief(const Known& known) {
  Prng& random = context_.random;
  const Millis soon = random.between(0, 200);
  if (random.chance(80)) {
    context_.counts.add(Count::kWrongCaller);
    fetch_later(soon, random.below(context_.topology.saes.size()), known.master, known.ids);
  }
  if (random.chance(30)) {
    context_.counts.add(Count::kWrongMaster);
    fetch_later(soon, known.slaves.front(), random.below(context_.topology.saes.size()), known.ids);
  }
}

void Clients::store_put_back(std::size_t site) {
  constexpr std::size_t kLatest = 40;
  const std::size_t first = known_.size() - std::min(known_.size(), kLatest);
  for (std::size_t i = first; i < known_.size(); ++i) {
    const Known& known = known_[i];
    for (const std::size_t slave : known.slaves) {
      if (site_of(slave) != site) continue;
      for (const KeyId& id : known.ids) {
        if (!context_.random.chance(500)) continue;
        context_.counts.add(Count::kFetchAgain);
        fetch_later(context_.random.between(0, 1500), slave, known.master, {id});
      }
    }
  }
}

// --- the end -------------------------------------------------------------------------------------

void Clients::fetch_the_rest() {
  for (const Known& known : known_) {
    if (known.expires <= context_.scheduler.now()) continue;
    for (std::size_t slave : known.slaves) {
      std::vector<KeyId> left;
      std::ranges::copy_if(known.ids, std::back_inserter(left),
                           [&](const KeyId& id) { return !gone_.contains({id, slave}); });
      if (!left.empty()) fetch_later(context_.random.between(0, 200), slave, known.master, std::move(left));
    }
  }
}

void Clients::probe(Millis patience) {
  const Topology& topology = context_.topology;
  const Millis ends = context_.scheduler.now() + patience;
  for (std::size_t master = 0; master < topology.saes.size(); ++master) {
    for (std::size_t slave = 0; slave < topology.saes.size(); ++slave) {
      const bool linked = site_of(master) != site_of(slave) && topology.linked(site_of(master), site_of(slave));
      if (!linked || !topology.allowed(master, slave)) continue;
      context_.history.probes.push_back({sae(master), sae(slave), Answer::kUnknown});
      get_key(master, {slave}, context_.history.probes.size() - 1, ends);
    }
  }
}

}  // namespace qkms::sim
