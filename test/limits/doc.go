// Package limits tests what servers and a real Redis do together: several replicas share one limit, and each enforces its
// share while Redis is gone. hack/test-redis fetches Redis where it is not installed.
package limits
