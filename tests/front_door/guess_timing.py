#!/usr/bin/env python3
"""T26, measured: does the time of a refusal tell a key of another SAE from one that nobody made? Run by hand on a quiet machine.

Many SAEs ask in turn for a key ID that is another SAE's and for one that does not exist, each no more often than refusals are free of extra
delay. Welch's t over all times (Reparaz, Balasch, Verbauwhede, "Dude, is my code constant time?", DATE 2017: |t| above 4.5 is a leak).
As a control the same is done for keys that are there against keys that are not, which must differ.

guess_timing.py [ROUNDS]
"""

import concurrent.futures
import math
import pathlib
import statistics
import sys
import tempfile
import time
import uuid

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "e2e"))

from lab_case import BUILD, sites  # noqa: E402

GUESSERS = 48
FREE_MISSES = 20  # kms/late_answers.h
FORGIVEN_AFTER_S = FREE_MISSES * 0.5 + 1


def welch_t(a, b):
    return (statistics.fmean(a) - statistics.fmean(b)) / math.sqrt(statistics.variance(a) / len(a) + statistics.variance(b) / len(b))


def guess(client, foreign, turn):
    """Times in seconds of FREE_MISSES refusals, in turn of the one kind and of the other."""
    times = {"foreign": [], "unknown": []}
    for i in range(FREE_MISSES):
        kind = "foreign" if (i + turn) % 2 == 0 else "unknown"
        key_id = foreign if kind == "foreign" else str(uuid.uuid4())
        began = time.perf_counter()
        status, _ = client.get_by_ids("SAE-A1", [key_id])
        times[kind].append(time.perf_counter() - began)
        if status != 400:
            raise SystemExit(f"answered {status}")
    return times


def main():
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 5
    guessers = [f"SAE-G{i}" for i in range(GUESSERS)]
    with tempfile.TemporaryDirectory() as folder:
        lab = sites.Lab(folder, BUILD, more_saes={name: "KME-B" for name in guessers})
        for kme in lab.kmes.values():
            text = kme.configuration.read_text()
            kme.configuration.write_text(text.replace("[peer]\n", 'foreign_key_answer = "400"\n[peer]\n', 1))
        try:
            lab.start().wait_for_keys(200)
            foreign = lab.client("SAE-A1").get_key("SAE-B1")[1]["keys"][0]["key_ID"]
            clients = [lab.client(name) for name in guessers]
            all_times = {"foreign": [], "unknown": []}
            for turn in range(rounds):
                if turn > 0:
                    time.sleep(FORGIVEN_AFTER_S)
                with concurrent.futures.ThreadPoolExecutor(GUESSERS // 4) as pool:
                    for times in pool.map(lambda client: guess(client, foreign, turn), clients):
                        for kind, values in times.items():
                            all_times[kind] += values
                print(f"round {turn + 1} of {rounds}: {len(all_times['foreign'])} and {len(all_times['unknown'])} refusals, "
                      f"medians {1e3 * statistics.median(all_times['foreign']):.3f} and {1e3 * statistics.median(all_times['unknown']):.3f} ms, "
                      f"t = {welch_t(all_times['foreign'], all_times['unknown']):.2f}", flush=True)
            hits = []
            slave = lab.client("SAE-B1")
            for _ in range(200):
                key = lab.client("SAE-A1").get_key("SAE-B1")[1]["keys"][0]["key_ID"]
                began = time.perf_counter()
                slave.get_by_ids("SAE-A1", [key])
                hits.append(time.perf_counter() - began)
            print(f"control: a key that is there against one that is not: t = {welch_t(hits, all_times['unknown']):.0f}")
        finally:
            lab.close()


if __name__ == "__main__":
    main()
