package mapping

// Memory is the content of a file. Do not touch it after Close.
type Memory struct {
	Data   []byte
	Mapped bool // rather than read: then a file that is cut short ends the process that looks at what is gone
	close  func() error
}

// Close releases the memory. It is safe to call twice, not while somebody reads.
func (m *Memory) Close() error {
	if m.close == nil {
		return nil
	}
	return m.close()
}
