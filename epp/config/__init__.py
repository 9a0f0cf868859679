"""What the picker is told: flags, the pool file and the configuration file, each checked as a whole."""
