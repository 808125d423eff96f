// Package manifests tests what users install: that kustomize and Helm render
// the same objects, and that those objects keep the promises of the project.
package manifests
