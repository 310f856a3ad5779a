// The table of every option that qkmsd has, by section. What is not in it is not an option.
#pragma once

#include <functional>
#include <map>
#include <string>
#include <vector>

#include "server/config.h"
#include "server/options.h"

namespace qkms::server {

// What the file says, before names are checked against each other and Config::policy's maps are built.
struct Draft {
  struct Peer {
    PeerConfig config;
    kms::PeerPolicy policy;
  };
  struct Link {
    LinkConfig config;
    kms::LinkPolicy policy;
  };
  struct Sae {
    SaeId id;
    KmeId kme;
    std::string fingerprint;  // empty: none
    kms::Allowance allowance;
  };
  struct Allow {
    SaeId master;
    std::vector<std::string> slaves;
    kms::PairTerms terms;  // of the master with each of them
  };
  struct Extension {
    std::string name;
    ExtensionMeaning meaning = ExtensionMeaning::kRouteType;
  };

  Draft() { config.peer.tls_minimum = config.operators.tls_minimum = TlsMinimum::k1_3; }

  Config config;
  std::vector<Peer> peers;
  std::vector<Link> links;
  std::vector<Sae> saes;
  std::vector<Allow> allows;
  std::vector<Extension> extensions;
  kms::Allowance allowance;  // of each SAE that states no other
};

enum class Occurs { kOnce, kManyTimes };

// A table of the file. A section that occurs once is read even when the file leaves it out, so that what it requires is
// missed.
struct Section {
  std::string name;
  Occurs occurs;
  std::string sentence;
  int examples;  // how many the reference configuration shows
  // Makes room in the draft for one more such table (when it occurs many times) and gives the options that fill it.
  // They are good until the next call.
  std::function<std::vector<Option>()> open;
  std::vector<Section> subsections;  // of the table just opened
  // Asked when the options of the table around it are read. False: it must not be there.
  std::function<bool()> wanted = [] { return true; };
};

// `draft` must outlive the sections.
std::vector<Section> sections_of(Draft& draft);

}  // namespace qkms::server
