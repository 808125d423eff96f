// Package mapping brings whole files into memory: mapped where the system can, so that all processes of a machine share
// one copy, else read.
package mapping
