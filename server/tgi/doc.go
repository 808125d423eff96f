// Package tgi has the wire types of Hugging Face's Text Generation Inference: /generate, /generate_stream and /info.
package tgi
