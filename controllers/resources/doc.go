// Package resources builds the Kubernetes objects of a GptOssModel: pure functions, API object in, objects out.
//
// Nothing here talks to a cluster. What a builder sets is exactly what the operator owns and repairs; what it leaves out
// belongs to the API server's defaults and to others. Golden files under testdata show every object as YAML; rewrite them with
//
//	go test ./controllers/resources -update
package resources
