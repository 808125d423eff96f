// Package page drives the chat page in a headless Chromium, before a real gptoss-server with the demo model, through
// `make test-page`. It is a module of its own, so that the product does not depend on a browser's driver.
package page
