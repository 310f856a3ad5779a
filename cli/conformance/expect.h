// The judgements that many checks make. Each says what came instead, never with a key bit.
#pragma once

#include "cli/conformance/run.h"

namespace qkms::cli::conformance {

Verdict expect_status(const Reply& reply, int status);
// An Error body with this message, to the letter.
Verdict expect_message(const Reply& reply, std::string_view message);
// Any 4xx.
Verdict expect_refused(const Reply& reply);
// 200 with this many keys, of this many bits where that is known.
Verdict expect_keys(const Reply& reply, std::int64_t number, std::optional<std::int64_t> bits);
// 200 with the same IDs and the same bits, in any order.
Verdict expect_same_keys(const Reply& reply, const std::vector<Key>& expected);
// What a check that needs keys says when it got none: why the rest of it cannot be tried.
std::optional<Verdict> no_keys(const Reply& reply, std::size_t number);

// The first that did not pass.
Verdict first_of(std::initializer_list<Verdict> verdicts);

}  // namespace qkms::cli::conformance
