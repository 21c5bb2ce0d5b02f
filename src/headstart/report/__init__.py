"""Run folders -> one self-contained HTML file. Reads files, never trains."""
