module github.com/gptoss/gptoss-operator/hack/demo-model

go 1.26.0

require github.com/gptoss/gptoss-operator v0.0.0

require golang.org/x/sys v0.49.0 // indirect

replace github.com/gptoss/gptoss-operator => ../..
