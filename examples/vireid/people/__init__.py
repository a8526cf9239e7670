"""People in three dimensions, in visible light and in the near infrared."""
