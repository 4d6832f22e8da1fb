"""`python -m dsp_batch preview …` is `dicom-series-preview …`, `python -m dsp_batch batch …` is `dsp-batch …`."""

from __future__ import annotations

from dsp_batch.cli.both import main

if __name__ == "__main__":
    main()
