// Package gpu builds the containers of the runtimes that are not ours and compute on GPUs: vLLM and Text Generation
// Inference. Pure functions; package resources puts the pod around them.
package gpu
