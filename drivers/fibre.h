// Secret key rate of decoy-state BB84 over fibre, and published systems as presets. Pure functions.
//
// Formulas: X. Ma, B. Qi, Y. Zhao, H.-K. Lo, "Practical decoy state for quantum key distribution", arXiv
// quant-ph/0503005 ("Ma"), for endlessly many pulses and decoys. Finite blocks: C. C. W. Lim, M. Curty, N. Walenta,
// F. Xu, H. Zbinden, "Concise security bounds for practical decoy-state quantum key distribution", arXiv 1311.7129
// ("Lim"). Left out: afterpulses and dead time of detectors, how decoys of three intensities widen the bounds (Lim's
// equations 2 to 4), the vacuum's own contribution, side channels.
#pragma once

#include <span>
#include <string_view>
#include <variant>

namespace qkms::drivers {

struct DecoyParameters {
  double attenuation_db_per_km = 0.2;  // alpha
  double detector_efficiency = 0.1;    // eta_Bob, with the receiver's optics
  double dark_count = 2e-6;            // Y0, a pulse
  double misalignment = 0.015;         // e_det: part of the signal that arrives at the wrong detector
  double error_correction = 1.16;      // f, 1 is Shannon's limit
  double intensity = 0.5;              // mu, photons a pulse
  double sifting = 0.9;                // q: part of the detections that sifting keeps; 1/2 for symmetric bases
  bool operator==(const DecoyParameters&) const = default;
};

// H2 in bits; 0 at and beyond 0 and 1.
double binary_entropy(double p);

struct DecoyRates {
  double gain = 0;           // Q_mu: detections a pulse
  double qber = 0;           // E_mu
  double single_yield = 0;   // Y1
  double single_gain = 0;    // Q1
  double single_error = 0;   // e1, held within 0 to 1/2
  double key_per_pulse = 0;  // R in secret bits, never below 0
};

// `loss_db` is that of the channel, alpha * L and whatever comes on top. `block_bits` is the number of sifted bits that
// are distilled together; 0 is endlessly many.
//
// With eta = 10^(-loss/10) * eta_Bob and e0 = 1/2 (Ma, section 2 and 3):
//   Q_mu = Y0 + 1 - exp(-eta mu)             E_mu Q_mu = e0 Y0 + e_det (1 - exp(-eta mu))
//   Y1 = Y0 + eta - Y0 eta                   e1 Y1 = e0 Y0 + e_det eta
//   Q1 = Y1 mu exp(-mu)                      R = q { -Q_mu f H2(E_mu) + Q1 [1 - H2(e1)] }
// A block of n sifted bits (after Lim, equation 1, without the vacuum's part) gives
//   l = s1 [1 - H2(phi1)] - n f H2(E_mu) - 6 log2(21/eps_sec) - log2(2/eps_cor),    R = q Q_mu l / n
//   s1 = n Q1/Q_mu - sqrt(n/2 ln(21/eps_sec)),   phi1 = e1 + gamma(eps_sec, e1, s1, s1)
// with Lim's gamma for what a test on as many bits may miss, eps_sec = 1e-10 and eps_cor = 1e-15.
DecoyRates decoy_bb84(const DecoyParameters& parameters, double loss_db, double block_bits);

struct DecoySystem {
  DecoyParameters parameters;
  double pulse_hz = 1e9;
  bool operator==(const DecoySystem&) const = default;
};

// A device of which no more is known than a rate: rate_at_10_db_bps * 10^(-(loss - 10)/10), and nothing beyond a loss.
struct PlainDevice {
  double rate_at_10_db_bps = 0;
  double most_loss_db = 0;
};
inline constexpr double kPlainQber = 0.02;            // devices in the field: 1 to 4 %
inline constexpr double kPlainAttenuation = 0.2;      // dB/km
inline constexpr double kPlainErrorCorrection = 1.2;  // f

using FibreSystem = std::variant<DecoySystem, PlainDevice>;

struct FibrePreset {
  std::string_view name;
  std::string_view source;
  FibreSystem system;
};
std::span<const FibrePreset> fibre_presets();

double attenuation_db_per_km(const FibreSystem& system);

struct FibreInstant {
  double qber = 0;      // 0 to 1/2
  double rate_bps = 0;  // secret bits a second
  double gain = 0;      // detections, in units of the system's own: what a QBER is averaged by
};

// The system at that loss when its misalignment error is larger than usual by `extra_error` (drift, an eavesdropper).
// A plain device's rate then falls as 1 - (1 + f) H2(QBER) does (P. W. Shor, J. Preskill, arXiv quant-ph/0003004, with
// f as above).
FibreInstant fibre_instant(const FibreSystem& system, double loss_db, double extra_error, double block_bits);

}  // namespace qkms::drivers
