// Which endpoints Kubernetes' own EndpointSlice reconciler makes of a Service with a named targetPort and an injected
// pod. `./run` tries it with the reconciler before and after it looked at init containers (kubernetes#127958).
package endpointslice

import (
	"context"
	"encoding/json"
	"os"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	discovery "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes/fake"
	"k8s.io/client-go/tools/record"
	"k8s.io/endpointslice"
	"k8s.io/endpointslice/util"
	"k8s.io/klog/v2"
)

func TestANamedTargetPortLeadsToTheSidecar(t *testing.T) {
	text, err := os.ReadFile(os.Getenv("INJECTED_POD"))
	if err != nil {
		t.Fatal(err)
	}
	pod := &corev1.Pod{}
	if err := json.Unmarshal(text, pod); err != nil {
		t.Fatal(err)
	}
	pod.Spec.NodeName = "node"
	pod.Status = corev1.PodStatus{
		Phase:      corev1.PodRunning,
		PodIP:      "10.0.0.7",
		PodIPs:     []corev1.PodIP{{IP: "10.0.0.7"}},
		Conditions: []corev1.PodCondition{{Type: corev1.PodReady, Status: corev1.ConditionTrue}},
	}
	service := &corev1.Service{
		ObjectMeta: metav1.ObjectMeta{Name: "chat", Namespace: pod.Namespace},
		Spec: corev1.ServiceSpec{
			IPFamilies: []corev1.IPFamily{corev1.IPv4Protocol},
			Selector:   pod.Labels,
			Ports: []corev1.ServicePort{{
				Name: "http", Port: 80, Protocol: corev1.ProtocolTCP, TargetPort: intstr.FromString("http"),
			}},
		},
	}
	client := fake.NewClientset()
	nodes := informers.NewSharedInformerFactory(client, 0).Core().V1().Nodes()
	node := &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: "node"}}
	if err := nodes.Informer().GetIndexer().Add(node); err != nil {
		t.Fatal(err)
	}
	reconciler := endpointslice.NewReconciler(
		client, nodes.Lister(), 100, util.NewEndpointSliceTracker(), nil, record.NewFakeRecorder(10), "test",
	)
	if err := reconciler.Reconcile(klog.Background(), service, []*corev1.Pod{pod}, nil, time.Now()); err != nil {
		t.Fatal(err)
	}
	slices, err := client.DiscoveryV1().EndpointSlices(pod.Namespace).List(context.Background(), metav1.ListOptions{})
	if err != nil {
		t.Fatal(err)
	}
	ports := portsOf(slices.Items)
	if len(ports) != 1 || ports[0] != 15080 {
		t.Fatalf("the endpoints have the ports %v, and not the sidecar's alone", ports)
	}
}

func portsOf(slices []discovery.EndpointSlice) []int32 {
	found := []int32{}
	for _, slice := range slices {
		for _, port := range slice.Ports {
			if port.Port != nil && len(slice.Endpoints) > 0 {
				found = append(found, *port.Port)
			}
		}
	}
	return found
}
