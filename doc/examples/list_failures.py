"""List what failed, from a summary file: the example of the user guide."""

import json
import sys
from pathlib import Path

summary = json.loads(Path(sys.argv[1]).read_text())
for report, more in zip(summary["quantaReports"], summary["quanta"], strict=True):
    if report["status"] in ("failure", "timeout"):
        why = more.get("reason") or report["exceptionInfo"]["message"]
        print(report["taskLabel"], report["dataId"], f"{more['outcome']}: {why}")
