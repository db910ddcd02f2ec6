package retention

// WithFault is the configuration with something that stands before every step
// of a disposal.
func (c Config) WithFault(f func(step string) error) Config {
	c.fault = f
	return c
}
