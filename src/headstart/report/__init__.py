"""Reports: a run or study folder -> one self-contained HTML page, without torch."""
