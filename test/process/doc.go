// Package process runs a gptoss-server of a test's own: on a free port of the loopback interface, for a bounded time, and
// gone with the test.
package process
