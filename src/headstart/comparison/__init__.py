"""One study: settings compared, with confidence intervals."""
