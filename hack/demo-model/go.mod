module github.com/gptoss/gptoss-operator/hack/demo-model

go 1.26.0

require github.com/gptoss/gptoss-operator v0.0.0

replace github.com/gptoss/gptoss-operator => ../..
