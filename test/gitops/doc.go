// Package gitops tests what tools that deploy from Git make of a GptOssModel's status: Argo CD by the Lua script that we give
// it, Flux and kubectl by kstatus.
package gitops
