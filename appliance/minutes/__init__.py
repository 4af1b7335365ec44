"""The minutes: what each meeting was like, kept on disk for people, line by line and hash by hash."""
