"""Commands that look at configurations and plugins, and serve nothing."""
