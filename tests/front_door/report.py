"""Results as lines for people and as JUnit XML for a report: one entry for each case."""

import os
import pathlib
import re
import xml.etree.ElementTree as ET


def printable(text):
    """XML 1.0 cannot hold control characters, and a terminal should not get them."""
    return re.sub(r"[^ -~\n]", lambda found: found.group().encode("unicode_escape").decode(), text)


class Report:
    def __init__(self, suite):
        self.suite = suite
        self.entries = []

    def add(self, group, name, seconds, complaints, note=""):
        self.entries.append((group, name, seconds, complaints))
        verdict = "FAIL" if complaints else "ok"
        print(printable(f"{verdict:4} {group}: {name} ({1000 * seconds:.1f} ms){'; ' + note if note else ''}"))
        for complaint in complaints:
            print(printable(f"       {complaint}"), flush=True)

    def failed(self):
        return [entry for entry in self.entries if entry[3]]

    def write(self, build):
        """To QKMS_REPORT_DIR, or the build folder."""
        root = ET.Element("testsuite", name=self.suite, tests=str(len(self.entries)), failures=str(len(self.failed())))
        for group, name, seconds, complaints in self.entries:
            entry = ET.SubElement(root, "testcase", classname=f"{self.suite}.{group}", name=printable(name), time=f"{seconds:.4f}")
            if complaints:
                ET.SubElement(entry, "failure", message=printable(complaints[0])).text = printable("\n".join(complaints))
        folder = pathlib.Path(os.environ.get("QKMS_REPORT_DIR") or build)
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / f"{self.suite}.xml"
        ET.ElementTree(root).write(path, encoding="utf-8", xml_declaration=True)
        return path
