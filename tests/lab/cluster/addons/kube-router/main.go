// kube-router's firewall of NetworkPolicies and its addresses for services of type LoadBalancer, and nothing else of it: its routers
// compile the clients of BGP, Docker and AWS. What the two controllers do, and their options, are theirs.
package main

import (
	"os"
	"os/signal"
	"sync"
	"syscall"

	"github.com/cloudnativelabs/kube-router/v2/pkg/controllers/lballoc"
	"github.com/cloudnativelabs/kube-router/v2/pkg/controllers/netpol"
	"github.com/cloudnativelabs/kube-router/v2/pkg/healthcheck"
	"github.com/cloudnativelabs/kube-router/v2/pkg/options"
	"github.com/spf13/pflag"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/cache"
	"k8s.io/client-go/tools/clientcmd"
	"k8s.io/klog/v2"
)

func must[T any](value T, err error) T {
	if err != nil {
		klog.Exit(err)
	}
	return value
}

func main() {
	config := options.NewKubeRouterConfig()
	config.AddFlags(pflag.CommandLine)
	pflag.Parse()

	client := must(kubernetes.NewForConfig(must(clientcmd.BuildConfigFromFlags(config.Master, config.Kubeconfig))))
	factory := informers.NewSharedInformerFactory(client, 0)
	services := factory.Core().V1().Services().Informer()
	pods := factory.Core().V1().Pods().Informer()
	namespaces := factory.Core().V1().Namespaces().Informer()
	policies := factory.Networking().V1().NetworkPolicies().Informer()
	stop := make(chan struct{})
	factory.Start(stop)
	factory.WaitForCacheSync(stop)

	var running sync.WaitGroup
	beats := make(chan *healthcheck.ControllerHeartbeat, 10)
	health := must(healthcheck.NewHealthController(config))
	health.SetAlive()
	running.Add(1)
	go health.RunCheck(beats, stop, &running)

	var sets sync.Mutex
	tables, setsByFamily, err := netpol.NewIPTablesHandlers(config)
	if err != nil {
		klog.Exit(err)
	}
	firewall := must(netpol.NewNetworkPolicyController(client, config, pods, policies, namespaces, &sets, tables, setsByFamily))
	addresses := must(lballoc.NewLoadBalancerController(client, config, services))
	for informer, handler := range map[cache.SharedIndexInformer]cache.ResourceEventHandler{
		pods: firewall.PodEventHandler, namespaces: firewall.NamespaceEventHandler,
		policies: firewall.NetworkPolicyEventHandler, services: addresses,
	} {
		must(informer.AddEventHandler(handler))
	}
	running.Add(2)
	go firewall.Run(beats, stop, &running)
	go addresses.Run(beats, stop, &running)

	end := make(chan os.Signal, 1)
	signal.Notify(end, syscall.SIGINT, syscall.SIGTERM)
	<-end
	close(stop)
	running.Wait()
}
