module github.com/gptoss/gptoss-operator/hack/demo

go 1.26.0
