// ETSI GS QKD 014 V1.1.1 over HTTP: from a request to the engine's, and from its reply to an answer. No key logic: who
// may have what is decided by the engine.
#pragma once

#include "server/config.h"
#include "server/current.h"
#include "server/engine_thread.h"
#include "server/http/handler.h"
#include "server/metrics.h"

namespace qkms::server {

// What a reload may change.
struct SaeSettings {
  ExtensionNames extensions = standard_extensions();
  AnswerConfig answers;
};

class SaeRoutes final : public http::Handler {
 public:
  // Both must outlive the routes.
  SaeRoutes(EngineThread& engine, Metrics& metrics, SaeSettings settings)
      : engine_(engine), metrics_(metrics), settings_(std::move(settings)) {}
  void replace(SaeSettings settings) { settings_.replace(std::move(settings)); }

  void handle(const http::Client& client, http::Request request, http::Responder respond) override;
  http::Response refuse(const http::Refusal& refusal) override;

 private:
  EngineThread& engine_;
  Metrics& metrics_;
  Current<SaeSettings> settings_;
};

}  // namespace qkms::server
