"""Arrays in, figures out. No torch: a report is made on any laptop."""
