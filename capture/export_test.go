package capture

// Freeze calls f for each new set of decoders; they deliver silence while what
// it returns says so.
func (c *Config) Freeze(f func() func(streamID string) bool) { c.freeze = f }
