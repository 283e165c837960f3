// cri calls one method of a container runtime's CRI, the interface that the kubelet uses.
//
//	cri SOCKET METHOD <REQUEST >RESPONSE
//
// METHOD is one of runtime.v1.RuntimeService or runtime.v1.ImageService (k8s.io/cri-api), such as RunPodSandbox.
// REQUEST and RESPONSE are JSON, in the mapping of Protocol Buffers; field names as in api.proto.
package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"
	_ "k8s.io/cri-api/pkg/apis/runtime/v1" // registers services and messages
)

// bound is what the kubelet allows for its longest call.
const bound = 4 * time.Minute

func main() {
	if len(os.Args) != 3 {
		fmt.Fprintln(os.Stderr, "usage: cri SOCKET METHOD <REQUEST")
		os.Exit(2)
	}
	if err := call(os.Args[1], protoreflect.Name(os.Args[2])); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func call(socket string, name protoreflect.Name) error {
	method, err := find(name)
	if err != nil {
		return err
	}
	request, err := message(method.Input())
	if err != nil {
		return err
	}
	response, err := message(method.Output())
	if err != nil {
		return err
	}
	text, err := io.ReadAll(os.Stdin)
	if err != nil {
		return err
	}
	if err := protojson.Unmarshal(text, request.Interface()); err != nil {
		return err
	}
	connection, err := grpc.NewClient("unix://"+socket, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		return err
	}
	defer connection.Close()
	ctx, cancel := context.WithTimeout(context.Background(), bound)
	defer cancel()
	path := fmt.Sprintf("/%s/%s", method.Parent().FullName(), method.Name())
	if err := connection.Invoke(ctx, path, request.Interface(), response.Interface()); err != nil {
		return err
	}
	printed, err := protojson.MarshalOptions{UseProtoNames: true, EmitUnpopulated: true}.Marshal(response.Interface())
	if err != nil {
		return err
	}
	_, err = fmt.Println(string(printed))
	return err
}

// find looks for a method without streams.
func find(name protoreflect.Name) (protoreflect.MethodDescriptor, error) {
	for _, service := range []protoreflect.FullName{"runtime.v1.RuntimeService", "runtime.v1.ImageService"} {
		descriptor, err := protoregistry.GlobalFiles.FindDescriptorByName(service.Append(name))
		if err != nil {
			continue
		}
		method, ok := descriptor.(protoreflect.MethodDescriptor)
		if ok && !method.IsStreamingServer() && !method.IsStreamingClient() {
			return method, nil
		}
	}
	return nil, fmt.Errorf("CRI has no method %q", name)
}

func message(descriptor protoreflect.MessageDescriptor) (protoreflect.Message, error) {
	kind, err := protoregistry.GlobalTypes.FindMessageByName(descriptor.FullName())
	if err != nil {
		return nil, err
	}
	return kind.New(), nil
}
