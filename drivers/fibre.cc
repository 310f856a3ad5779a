#include "drivers/fibre.h"

#include <algorithm>
#include <array>
#include <cmath>

namespace qkms::drivers {
namespace {

constexpr double kVacuumError = 0.5;  // e0: a dark count is right half of the time
constexpr double kSecrecy = 1e-10;    // eps_sec
constexpr double kCorrectness = 1e-15;
constexpr double kLn2 = 0.69314718055994530942;

// Lim's gamma(eps_sec, error, n, n): how far the error of n unseen bits may be from that of n seen ones.
double sampling_deviation(double error, double bits) {
  const double spread = std::max(error * (1 - error), 1 / bits);  // an error of 0 in the sample proves no certainty
  const double doubt = 2 / (bits * spread) * 21 * 21 / (kSecrecy * kSecrecy);
  return std::sqrt(2 * spread / (bits * kLn2) * std::log2(doubt));
}

// Secret bits per sifted bit.
double secret_part(const DecoyRates& rates, double error_correction, double block_bits) {
  const double leaked = error_correction * binary_entropy(rates.qber);
  const double singles = rates.single_gain / rates.gain;
  if (block_bits <= 0) return singles * (1 - binary_entropy(rates.single_error)) - leaked;
  const double counted = block_bits * singles - std::sqrt(block_bits / 2 * std::log(21 / kSecrecy));
  if (counted < 1) return 0;
  const double phase_error = std::min(0.5, rates.single_error + sampling_deviation(rates.single_error, counted));
  const double spent = 6 * std::log2(21 / kSecrecy) + std::log2(2 / kCorrectness);
  return (counted * (1 - binary_entropy(phase_error)) - spent) / block_bits - leaked;
}

FibreInstant instant_of(const DecoySystem& system, double loss_db, double extra_error, double block_bits) {
  DecoyParameters parameters = system.parameters;
  parameters.misalignment = std::clamp(parameters.misalignment + extra_error, 0.0, 0.5);
  const DecoyRates rates = decoy_bb84(parameters, loss_db, block_bits);
  return {rates.qber, rates.key_per_pulse * system.pulse_hz, rates.gain};
}

double plain_part(double qber) { return std::max(0.0, 1 - (1 + kPlainErrorCorrection) * binary_entropy(qber)); }

FibreInstant instant_of(const PlainDevice& device, double loss_db, double extra_error) {
  const double qber = std::clamp(kPlainQber + extra_error, 0.0, 0.5);
  const double part = plain_part(qber) / plain_part(kPlainQber);
  const double passed = std::pow(10, -(loss_db - 10) / 10);
  return {qber, loss_db > device.most_loss_db ? 0 : device.rate_at_10_db_bps * passed * part, passed};
}

}  // namespace

double binary_entropy(double p) {
  if (p <= 0 || p >= 1) return 0;
  return -p * std::log2(p) - (1 - p) * std::log2(1 - p);
}

DecoyRates decoy_bb84(const DecoyParameters& parameters, double loss_db, double block_bits) {
  const auto& p = parameters;
  const double eta = std::pow(10, -loss_db / 10) * p.detector_efficiency;
  const double signal = -std::expm1(-eta * p.intensity);
  DecoyRates rates;
  rates.gain = std::min(1.0, p.dark_count + signal);
  rates.single_yield = p.dark_count + eta - p.dark_count * eta;
  if (rates.gain <= 0 || rates.single_yield <= 0) return rates;  // nothing ever clicks
  rates.qber = std::min(0.5, (kVacuumError * p.dark_count + p.misalignment * signal) / rates.gain);
  rates.single_error = std::clamp((kVacuumError * p.dark_count + p.misalignment * eta) / rates.single_yield, 0.0, 0.5);
  rates.single_gain = rates.single_yield * p.intensity * std::exp(-p.intensity);
  rates.key_per_pulse = std::max(0.0, p.sifting * rates.gain * secret_part(rates, p.error_correction, block_bits));
  return rates;
}

std::span<const FibrePreset> fibre_presets() {
  static const std::array presets = {
      FibrePreset{"ideal-1ghz", "an ideal system of 1 GHz: no published one",
                  DecoySystem{{0.2, 0.10, 2e-6, 0.015, 1.16, 0.5, 0.9}, 1e9}},
      FibrePreset{"gys",
                  "C. Gobby, Z. L. Yuan, A. J. Shields (2004), with the parameters of arXiv quant-ph/0503005 and 2 MHz",
                  DecoySystem{{0.21, 0.045, 1.7e-6, 0.033, 1.22, 0.48, 0.5}, 2e6}},
      // Detector, darkness and error are fitted to the two rates; the clock is the paper's.
      FibrePreset{"toshiba-2008", "A. R. Dixon et al., fitted to 1.02 Mb/s at 20 km and 10.1 kb/s at 100 km",
                  DecoySystem{{0.2, 0.04, 1e-5, 0.03, 1.15, 0.55, 0.5}, 1.036e9}},
      FibrePreset{"toshiba-2018", "Z. L. Yuan et al., arXiv 1807.04484, fitted to 13.72 Mb/s over 2 dB",
                  DecoySystem{{0.2, 0.146, 1e-5, 0.02, 1.15, 0.4, 0.9}, 1e9}},
      FibrePreset{"device-2k", "a small device: 2 kb/s at 10 dB, nothing above 18 dB", PlainDevice{2e3, 18}},
      FibrePreset{"device-100k", "a device of today: 100 kb/s at 10 dB, nothing above 28 dB", PlainDevice{100e3, 28}},
      FibrePreset{"device-300k", "a fast device: 300 kb/s at 10 dB, nothing above 30 dB", PlainDevice{300e3, 30}},
  };
  return presets;
}

double attenuation_db_per_km(const FibreSystem& system) {
  const auto* decoy = std::get_if<DecoySystem>(&system);
  return decoy != nullptr ? decoy->parameters.attenuation_db_per_km : kPlainAttenuation;
}

FibreInstant fibre_instant(const FibreSystem& system, double loss_db, double extra_error, double block_bits) {
  if (const auto* decoy = std::get_if<DecoySystem>(&system)) {
    return instant_of(*decoy, loss_db, extra_error, block_bits);
  }
  return instant_of(std::get<PlainDevice>(system), loss_db, extra_error);
}

}  // namespace qkms::drivers
