"""What exists: the sources that tell the picker of its pool, all behind one port."""
