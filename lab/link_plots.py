#!/usr/bin/env python3
"""Pictures of what simulated links do: the key rate of fibre systems over distance beside published points, and a week of a satellite link.

link_plots.py PROGRAM FOLDER runs PROGRAM (qkms-link-model) and writes key-rate.png and satellite-week.png into FOLDER. ./dev plots calls it.
The models and their sources are in docs/simulated-links.md.
"""

import csv
import datetime
import pathlib
import subprocess
import sys

import matplotlib

matplotlib.use("Agg")  # files only, no display
import matplotlib.dates
import matplotlib.pyplot as plt

DB_PER_KM = 0.2  # the scale that all curves and points share: they differ in fibre, but loss decides

CURVES = [  # (system, what the legend says, colour, line)
    ("ideal-1ghz", "ideal, 1 GHz", "#7f7f7f", "-"),
    ("toshiba-2018", "toshiba-2018", "#d62728", "-"),
    ("toshiba-2008", "toshiba-2008", "#ff7f0e", "-"),
    ("gys", "gys, 2 MHz", "#1f77b4", "-"),
    ("device-300k", "device-300k, -100k, -2k", "#bbbbbb", "--"),
    ("device-100k", None, "#bbbbbb", "--"),
    ("device-2k", None, "#bbbbbb", "--"),
]
POINTS = [  # (loss in dB, bits a second, what the legend says, colour, marker)
    (2, 13.72e6, "Toshiba 10 Mb/s prototype (arXiv 1807.04484)", "#d62728", "o"),
    (20 * DB_PER_KM, 1.02e6, "Toshiba 2008, 20 and 100 km", "#ff7f0e", "s"),
    (100 * DB_PER_KM, 10.1e3, None, "#ff7f0e", "s"),
    (14.5, 304e3, "Toshiba, Tokyo 2010: 45 km in the field, 14.5 dB", "#9467bd", "^"),
    (25 * DB_PER_KM, 140e3, "COW, not BB84 (arXiv 1309.2583)", "#2ca02c", "D"),
]
FIELD = ((5, 20), (2e3, 5e3), "QuKy in VenQCI, a few kb/s (arXiv 2510.16867)")  # km, bits a second

SATELLITE = {
    "satellite.system": "micius",
    "satellite.first_latitude_deg": 45.65, "satellite.first_longitude_deg": 13.78, "satellite.first_clear_sky": 0.6,
    "satellite.second_latitude_deg": 40.40, "satellite.second_longitude_deg": -3.70, "satellite.second_clear_sky": 0.6,
    "seed": "week 1", "from_s": 1768435200, "hours": 168,  # from 2026-01-15 on, which begins a span of keep_days
}
STATIONS = ["Trieste", "Madrid"]
COLOURS = ["#1f77b4", "#d95f02"]


def run(program, command, settings):
    """The lines of the program's CSV, as dictionaries."""
    arguments = [f"{name}={value}" for name, value in settings.items()]
    answer = subprocess.run([program, command, *arguments], check=True, capture_output=True, text=True)
    return list(csv.DictReader(answer.stdout.splitlines()))


def plot_key_rate(program, file):
    figure, axes = plt.subplots(figsize=(8.5, 5.6))
    for system, label, colour, line in CURVES:
        rows = run(program, "distance", {"fibre.system": system, "to_km": 180, "step_km": 0.5})
        shown = [(float(row["loss_db"]) / DB_PER_KM, float(row["rate_bps"])) for row in rows if float(row["rate_bps"]) > 0]
        axes.plot(*zip(*shown), color=colour, linestyle=line, linewidth=1.6, label=label)
    for loss, rate, label, colour, marker in POINTS:
        axes.plot(loss / DB_PER_KM, rate, marker, color=colour, markeredgecolor="black", markersize=7, linestyle="none", label=label, zorder=5)
    (left, right), (low, high), label = FIELD
    axes.fill_between([left, right], low, high, color="#17becf", alpha=0.45, label=label, linewidth=0)

    axes.set_yscale("log")
    axes.set_ylim(1, 5e7)
    axes.set_xlim(0, 180)
    axes.set_xlabel(f"fibre length at {DB_PER_KM} dB/km (km)")
    axes.set_ylabel("secret key rate (bits/s)")
    above = axes.secondary_xaxis("top", functions=(lambda km: km * DB_PER_KM, lambda loss: loss / DB_PER_KM))
    above.set_xlabel("channel loss (dB)")
    axes.grid(True, which="major", alpha=0.3)
    models = len([1 for curve in CURVES if curve[1]])
    handles, labels = axes.get_legend_handles_labels()
    first = axes.legend(handles[:models], labels[:models], title="models (blocks of 10⁷ sifted bits)", loc="upper right", fontsize=8.5, title_fontsize=8.5)
    axes.add_artist(first)
    axes.legend(handles[models:], labels[models:], title="published", loc="lower left", fontsize=8.5, title_fontsize=8.5)
    save(figure, file)


def save(figure, file):
    figure.tight_layout()
    figure.savefig(file, dpi=110)
    plt.close(figure)
    print(file)


def time_of(seconds):
    return datetime.datetime.fromtimestamp(float(seconds), datetime.timezone.utc)


def spans(rows, holds):
    """From when to when, of consecutive rows for which it holds."""
    start = None
    for row in rows:
        if holds(row) and start is None:
            start = row["time_s"]
        elif not holds(row) and start is not None:
            yield time_of(start), time_of(row["time_s"])
            start = None
    if start is not None:
        yield time_of(start), time_of(rows[-1]["time_s"])


def outcome(one):
    if float(one["secret_bits"]) > 0:
        return "key"
    if one["night"] == "0":
        return "daylight"
    return "clouds" if one["clear"] == "0" else "too few bits"


OUTCOMES = {  # marker, filled
    "key": ("o", True), "too few bits": ("v", False), "clouds": ("x", True), "daylight": ("o", False),
}


def plot_station(axes, station, passes, sky):
    name = ["first", "second"][station]
    for begin, end in spans(sky, lambda row: float(row[f"{name}_sun_deg"]) < -6):
        axes.axvspan(begin, end, color="#2b3a67", alpha=0.16, linewidth=0)
    clouded = lambda row: float(row[f"{name}_sun_deg"]) < -6 and row[f"{name}_clear"] == "0"
    for begin, end in spans(sky, clouded):
        axes.axvspan(begin, end, facecolor="none", edgecolor="#555555", alpha=0.45, hatch="////", linewidth=0)
    for kind, (marker, filled) in OUTCOMES.items():
        found = [one for one in passes if int(one["station"]) == station and outcome(one) == kind]
        if not found:
            continue
        times = [time_of(one["peak_s"]) for one in found]
        heights = [float(one["peak_elevation_deg"]) for one in found]
        colour = COLOURS[station] if kind == "key" else "#666666"
        axes.vlines(times, 20, heights, color=colour, linewidth=1.6 if kind == "key" else 0.9)
        axes.plot(times, heights, marker, color=colour, markersize=6, markerfacecolor=colour if filled else "white", linestyle="none")
    axes.set_ylim(15, 95)
    axes.set_yticks([20, 45, 70, 90])
    axes.set_ylabel(f"{STATIONS[station]}\npeak elevation (°)")


def steps_of(passes, deliveries, end):
    """What the satellite holds of each station alone, and what both have, after each change: three lists of (time, bits)."""
    changes = [(float(one["served_to_s"]), int(one["station"]), float(one["secret_bits"])) for one in passes if float(one["secret_bits"]) > 0]
    aboard, lines = [0.0, 0.0], [[], [], []]
    for at, station, bits in sorted(changes):
        for other in (0, 1):
            lines[other].append((at, aboard[other]))
        aboard[station] += bits
        both = min(aboard)
        aboard = [held - both for held in aboard]
        for other in (0, 1):
            lines[other].append((at, aboard[other]))
    total = 0.0
    for at, bits in deliveries:
        lines[2] += [(at, total), (at, total + bits)]
        total += bits
    for line, last in zip(lines, [*aboard, total]):
        line.insert(0, (float(SATELLITE["from_s"]), 0.0))
        line.append((end, last))
    return lines


def plot_bits(axes, passes, sky):
    first = min(float(one["served_to_s"]) for one in passes if float(one["secret_bits"]) > 0)  # before it come keys of the week before
    deliveries = [(float(row["time_s"]), float(row["bits"])) for row in sky if float(row["bits"]) > 0 and float(row["time_s"]) > first]
    lines = steps_of(passes, deliveries, float(sky[-1]["time_s"]))
    labels = [f"on board, {STATIONS[0]} alone", f"on board, {STATIONS[1]} alone", "paired and delivered to both (sum)"]
    for line, label, colour, width in zip(lines, labels, COLOURS + ["#222222"], (1.4, 1.4, 2.2)):
        axes.plot([time_of(at) for at, _ in line], [bits / 1e6 for _, bits in line], color=colour, label=label, linewidth=width)
    axes.set_ylabel("secret bits (Mbit)")
    axes.set_ylim(bottom=0)
    axes.grid(True, alpha=0.3)
    axes.legend(loc="upper left", fontsize=8.5)


def plot_legend(figure, passes):
    seen = {outcome(one) for one in passes}
    style = {"linestyle": "none", "color": "#666666", "markersize": 6}
    handles = [plt.Line2D([], [], marker=marker, markerfacecolor="#666666" if filled else "white", label=f"pass: {kind}", **style)
               for kind, (marker, filled) in OUTCOMES.items() if kind in seen]
    handles.append(plt.Rectangle((0, 0), 1, 1, color="#2b3a67", alpha=0.16, label="night"))
    handles.append(plt.Rectangle((0, 0), 1, 1, facecolor="none", edgecolor="#555555", hatch="////", linewidth=0, label="clouds"))
    figure.legend(handles=handles, loc="upper center", ncol=len(handles), fontsize=8.5, frameon=False)


def plot_satellite_week(program, file):
    passes = run(program, "passes", SATELLITE)
    sky = run(program, "time", {**SATELLITE, "model": "satellite", "step_s": 300})
    figure, axes = plt.subplots(3, 1, figsize=(9.5, 7), sharex=True, height_ratios=[1, 1, 1.5])
    for station in (0, 1):
        plot_station(axes[station], station, passes, sky)
    plot_bits(axes[2], passes, sky)
    axes[2].set_xlim(time_of(sky[0]["time_s"]), time_of(sky[-1]["time_s"]))
    axes[2].xaxis.set_major_locator(matplotlib.dates.DayLocator())
    axes[2].xaxis.set_major_formatter(matplotlib.dates.DateFormatter("%d %b"))
    axes[2].set_xlabel("2026, UTC")
    plot_legend(figure, passes)
    figure.tight_layout(rect=(0, 0, 1, 0.96))
    figure.savefig(file, dpi=110)
    plt.close(figure)
    print(file)


def main():
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    folder = pathlib.Path(sys.argv[2])
    folder.mkdir(parents=True, exist_ok=True)
    plot_key_rate(sys.argv[1], folder / "key-rate.png")
    plot_satellite_week(sys.argv[1], folder / "satellite-week.png")


if __name__ == "__main__":
    main()
