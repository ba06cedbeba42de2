"""The stemify API: a song or a YouTube link in, stems out."""
