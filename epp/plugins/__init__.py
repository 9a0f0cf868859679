"""The built-in plugins, one file each; `registry` knows them by the type names of the configuration."""
