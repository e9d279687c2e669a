"""What the desktop is given: types, thumbnailer, menus, icons."""
