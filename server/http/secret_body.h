// A request's body for Beast's parser, in memory that wipes itself: an operator may send a passphrase. It grows with
// what has come, not with what the header promises: who promises and sends nothing costs nothing.
#pragma once

#include <algorithm>
#include <boost/beast/core/buffers_range.hpp>
#include <boost/beast/core/error.hpp>
#include <boost/beast/http/message.hpp>
#include <boost/optional.hpp>
#include <cstdint>
#include <cstring>
#include <span>

#include "base/secret.h"

namespace qkms::server::http {

struct SecretBody {
  class value_type {
   public:
    void append(std::span<const std::uint8_t> bytes) {
      if (bytes.empty()) return;
      reserve(size_ + bytes.size());
      std::memcpy(room_.reveal_mutable().data() + size_, bytes.data(), bytes.size());
      size_ += bytes.size();
    }
    SecretBytes take() {
      SecretBytes whole = size_ == room_.size() ? std::move(room_) : room_.slice(0, size_);
      *this = value_type();
      return whole;
    }

   private:
    void reserve(std::size_t size) {
      if (size <= room_.size()) return;
      SecretBytes wider(std::max(size, 2 * room_.size()));
      if (size_ > 0) std::memcpy(wider.reveal_mutable().data(), room_.reveal().data(), size_);
      room_ = std::move(wider);
    }

    SecretBytes room_;
    std::size_t size_ = 0;
  };

  // Beast's BodyReader. The parser's limit bounds what comes here.
  class reader {
   public:
    template <bool is_request, class Fields>
    reader(boost::beast::http::header<is_request, Fields>&, value_type& body) : body_(body) {}

    void init(const boost::optional<std::uint64_t>&, boost::beast::error_code& error) { error = {}; }

    template <class Buffers>
    std::size_t put(const Buffers& buffers, boost::beast::error_code& error) {
      error = {};
      std::size_t taken = 0;
      for (const auto& part : boost::beast::buffers_range_ref(buffers)) {
        body_.append({static_cast<const std::uint8_t*>(part.data()), part.size()});
        taken += part.size();
      }
      return taken;
    }

    void finish(boost::beast::error_code& error) { error = {}; }

   private:
    value_type& body_;
  };
};

}  // namespace qkms::server::http
