package main

import (
	"errors"
	"fmt"
	"strconv"

	"github.com/gptoss/gptoss-operator/server/options"
)

// addEnvironment adds what comes from the environment. What a flag names goes first.
func addEnvironment(o *options.Options, getenv func(string) string) error {
	if key := getenv("OPENAI_API_KEY"); key != "" {
		if !options.ValidKey(key) {
			return errors.New("the environment variable OPENAI_API_KEY must be 1 to 4096 visible ASCII characters without spaces")
		}
		o.APIKeys = append(o.APIKeys, key)
	}
	if kernel := getenv("GPTOSS_KERNEL"); kernel != "" && o.Kernel == options.KernelAuto {
		o.Kernel = kernel
		if err := o.Validate(); err != nil {
			return fmt.Errorf("the environment variable GPTOSS_KERNEL is wrong: %w", err)
		}
	}
	if rate := getenv("API_RATE_LIMIT_RPS"); rate != "" && o.RateLimitRPS == 0 {
		rps, err := strconv.ParseFloat(rate, 64)
		o.RateLimitRPS = rps
		if err == nil {
			err = o.Validate()
		}
		if err != nil {
			return fmt.Errorf("the environment variable API_RATE_LIMIT_RPS is wrong: %w", err)
		}
	}
	return nil
}
