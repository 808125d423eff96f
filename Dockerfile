# Two images from one build: docker build --target operator|server --build-arg VERSION=... .
# The binaries are static, so the images hold nothing else; both run as any user and with a read-only root.
FROM --platform=$BUILDPLATFORM golang:1.26 AS build
WORKDIR /src
COPY go.mod go.sum ./
RUN go mod download
COPY . .
ARG TARGETOS TARGETARCH VERSION=dev
RUN CGO_ENABLED=0 GOOS=$TARGETOS GOARCH=$TARGETARCH \
    go build -trimpath -ldflags "-s -w -X main.version=$VERSION" -o /out/ ./cmd/gptoss-operator ./cmd/gptoss-server

FROM scratch AS operator
COPY --from=build /out/gptoss-operator /gptoss-operator
USER 65532:65532
ENTRYPOINT ["/gptoss-operator"]

FROM scratch AS server
COPY --from=build /out/gptoss-server /gptoss-server
USER 65532:65532
EXPOSE 8000
ENTRYPOINT ["/gptoss-server"]
