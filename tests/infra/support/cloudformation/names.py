"""The names that CloudFormation has for what the program calls otherwise."""

# CloudFormation's type of each kind, and its names of those properties that do not follow; None where it has none.
TYPES: dict[str, tuple[str, dict[str, str | None]]] = {
    "appautoscaling.Policy": (
        "ApplicationAutoScaling::ScalingPolicy",
        {"name": "PolicyName", "resourceId": "ResourceId"},
    ),
    "appautoscaling.Target": ("ApplicationAutoScaling::ScalableTarget", {"tags": None}),
    "cloudfront.Distribution": ("CloudFront::Distribution", {}),
    "cloudfront.VpcOrigin": ("CloudFront::VpcOrigin", {}),
    "cloudtrail.Trail": ("CloudTrail::Trail", {"name": "TrailName"}),
    "cloudwatch.Dashboard": ("CloudWatch::Dashboard", {}),
    "cloudwatch.LogGroup": ("Logs::LogGroup", {"name": "LogGroupName"}),
    "cloudwatch.LogMetricFilter": (
        "Logs::MetricFilter",
        {"name": "FilterName", "pattern": "FilterPattern", "metricTransformation": "MetricTransformations"},
    ),
    "cloudwatch.MetricAlarm": (
        "CloudWatch::Alarm",
        {"name": "AlarmName", "okActions": "OKActions", "insufficientDataActions": "InsufficientDataActions"},
    ),
    "ec2.Eip": ("EC2::EIP", {}),
    "ec2.FlowLog": ("EC2::FlowLog", {"vpcId": "ResourceId"}),
    "ec2.InternetGateway": ("EC2::InternetGateway", {"vpcId": None}),
    "ec2.NatGateway": ("EC2::NatGateway", {}),
    "ec2.Route": ("EC2::Route", {}),
    "ec2.RouteTable": ("EC2::RouteTable", {}),
    "ec2.RouteTableAssociation": ("EC2::SubnetRouteTableAssociation", {}),
    "ec2.SecurityGroup": ("EC2::SecurityGroup", {"name": "GroupName", "description": "GroupDescription"}),
    "ec2.Subnet": ("EC2::Subnet", {}),
    "ec2.Vpc": ("EC2::VPC", {}),
    "ec2.VpcEndpoint": ("EC2::VPCEndpoint", {}),
    "ecr.Repository": (
        "ECR::Repository",
        {
            "name": "RepositoryName",
            "encryptionConfigurations": "EncryptionConfiguration",
            "forceDelete": "EmptyOnDelete",
        },
    ),
    "ecs.Cluster": ("ECS::Cluster", {"name": "ClusterName", "settings": "ClusterSettings"}),
    "ecs.ClusterCapacityProviders": (
        "ECS::ClusterCapacityProviderAssociations",
        {"clusterName": "Cluster", "defaultCapacityProviderStrategies": "DefaultCapacityProviderStrategy"},
    ),
    "ecs.Service": (
        "ECS::Service",
        {
            "name": "ServiceName",
            "capacityProviderStrategies": "CapacityProviderStrategy",
            "waitForSteadyState": None,
            "forceNewDeployment": None,
        },
    ),
    "ecs.TaskDefinition": ("ECS::TaskDefinition", {}),
    "iam.Role": ("IAM::Role", {"name": "RoleName", "assumeRolePolicy": "AssumeRolePolicyDocument"}),
    "iam.RolePolicy": (
        "IAM::RolePolicy",
        {"name": "PolicyName", "role": "RoleName", "policy": "PolicyDocument"},
    ),
    "kms.Key": ("KMS::Key", {"deletionWindowInDays": "PendingWindowInDays", "policy": "KeyPolicy"}),
    "lambda.Function": ("Lambda::Function", {"name": "FunctionName"}),
    "lb.Listener": ("ElasticLoadBalancingV2::Listener", {"certificateArn": "Certificates", "tags": None}),
    "lb.ListenerRule": ("ElasticLoadBalancingV2::ListenerRule", {"tags": None}),
    "lb.LoadBalancer": ("ElasticLoadBalancingV2::LoadBalancer", {"loadBalancerType": "Type", "internal": "Scheme"}),
    "lb.TargetGroup": ("ElasticLoadBalancingV2::TargetGroup", {}),
    "rds.Instance": (
        "RDS::DBInstance",
        {
            "identifier": "DBInstanceIdentifier",
            "instanceClass": "DBInstanceClass",
            "username": "MasterUsername",
            "vpcSecurityGroupIds": "VPCSecurityGroups",
            "parameterGroupName": "DBParameterGroupName",
            "caCertIdentifier": "CACertificateIdentifier",
            "performanceInsightsEnabled": "EnablePerformanceInsights",
            "backupWindow": "PreferredBackupWindow",
            "maintenanceWindow": "PreferredMaintenanceWindow",
            "enabledCloudwatchLogsExports": "EnableCloudwatchLogsExports",
            "skipFinalSnapshot": None,
            "finalSnapshotIdentifier": None,
        },
    ),
    "rds.ParameterGroup": ("RDS::DBParameterGroup", {"name": "DBParameterGroupName"}),
    "rds.SubnetGroup": (
        "RDS::DBSubnetGroup",
        {"name": "DBSubnetGroupName", "description": "DBSubnetGroupDescription"},
    ),
    "route53.Record": (
        "Route53::RecordSet",
        {"zoneId": "HostedZoneId", "aliases": "AliasTarget", "records": "ResourceRecords", "allowOverwrite": None},
    ),
    "s3.Bucket": ("S3::Bucket", {"bucket": "BucketName", "forceDestroy": None}),
    "s3.BucketPolicy": ("S3::BucketPolicy", {"policy": "PolicyDocument"}),
    "sagemaker.NotebookInstance": (
        "SageMaker::NotebookInstance",
        {
            "name": "NotebookInstanceName",
            "securityGroups": "SecurityGroupIds",
            "volumeSize": "VolumeSizeInGB",
            "instanceMetadataServiceConfiguration": None,
        },
    ),
    "sagemaker.NotebookInstanceLifecycleConfiguration": (
        "SageMaker::NotebookInstanceLifecycleConfig",
        {"name": "NotebookInstanceLifecycleConfigName"},
    ),
    "scheduler.Schedule": ("Scheduler::Schedule", {}),
    "secretsmanager.Secret": ("SecretsManager::Secret", {"recoveryWindowInDays": None}),
    "servicediscovery.PrivateDnsNamespace": ("ServiceDiscovery::PrivateDnsNamespace", {}),
    "servicediscovery.Service": ("ServiceDiscovery::Service", {"forceDestroy": None}),
    "sns.Topic": ("SNS::Topic", {"name": "TopicName"}),
    "sns.TopicSubscription": ("SNS::Subscription", {"topic": "TopicArn"}),
    "vpc.SecurityGroupEgressRule": (
        "EC2::SecurityGroupEgress",
        {
            "securityGroupId": "GroupId",
            "referencedSecurityGroupId": "DestinationSecurityGroupId",
            "cidrIpv4": "CidrIp",
            "tags": None,
        },
    ),
    "vpc.SecurityGroupIngressRule": (
        "EC2::SecurityGroupIngress",
        {
            "securityGroupId": "GroupId",
            "referencedSecurityGroupId": "SourceSecurityGroupId",
            "prefixListId": "SourcePrefixListId",
            "cidrIpv4": "CidrIp",
            "tags": None,
        },
    ),
    "wafv2.IpSet": ("WAFv2::IPSet", {"region": None}),
    "wafv2.WebAcl": ("WAFv2::WebACL", {"region": None}),
    "budgets.Budget": ("Budgets::Budget", {}),
}
# Kinds that CloudFormation has as a part of another resource: the kind, what names it, and the part's name there.
PARTS = {
    "s3.BucketLifecycleConfiguration": ("s3.Bucket", "bucket", "LifecycleConfiguration"),
    "s3.BucketOwnershipControls": ("s3.Bucket", "bucket", "OwnershipControls"),
    "s3.BucketPublicAccessBlock": ("s3.Bucket", "bucket", "PublicAccessBlockConfiguration"),
    "s3.BucketServerSideEncryptionConfiguration": ("s3.Bucket", "bucket", "BucketEncryption"),
    "s3.BucketVersioning": ("s3.Bucket", "bucket", "VersioningConfiguration"),
    "ecr.LifecyclePolicy": ("ecr.Repository", "repository", "LifecyclePolicy"),
}
# Kinds that it has not, with the reason.
NOT_THERE = {
    "acm.Certificate": "it imports none",
    "docker.Image": "it builds none",
    "ec2.DefaultSecurityGroup": "it cannot take over what a VPC comes with",
    "s3.BucketObjectv2": "it uploads nothing",
    "acm.CertificateValidation": "it waits for it itself",
    "secretsmanager.SecretVersion": "a secret's value is not looked at",
}
# How an id begins, by what is in the name of the property that takes it; the more special names come first.
IDS = {
    "Subnet": "subnet",
    "SecurityGroup": "sg",
    "GroupId": "sg",
    "NatGatewayId": "nat",
    "GatewayId": "igw",
    "RouteTable": "rtb",
    "AllocationId": "eipalloc",
    "NamespaceId": "ns",
    "VpcOriginId": "vo",
    "Vpc": "vpc",
    "ResourceId": "vpc",  # of a flow log
}
# The service and the rest of an ARN of each kind.
ARNS = {
    "acm.Certificate": ("acm", "certificate/12345678-90ab-cdef-1234-567890abcdef"),
    "appautoscaling.Policy": ("autoscaling", "scalingPolicy:1:resource/ecs/service/c/s:policyName/{}"),
    "cloudwatch.LogGroup": ("logs", "log-group:/ecs/{}"),
    "cloudwatch.MetricAlarm": ("cloudwatch", "alarm:{}"),
    "ecr.Repository": ("ecr", "repository/{}"),
    "ecs.Cluster": ("ecs", "cluster/{}"),
    "ecs.TaskDefinition": ("ecs", "task-definition/{}:1"),
    "iam.Role": ("iam", "role/{}"),
    "kms.Key": ("kms", "key/12345678-90ab-cdef-1234-567890abcdef"),
    "lambda.Function": ("lambda", "function:{}"),
    "rds.Instance": ("rds", "db:{}"),
    "lb.Listener": ("elasticloadbalancing", "listener/app/edge/0123456789abcdef/0123456789abcdef"),
    "lb.LoadBalancer": ("elasticloadbalancing", "loadbalancer/app/{}/0123456789abcdef"),
    "lb.TargetGroup": ("elasticloadbalancing", "targetgroup/{}/0123456789abcdef"),
    "secretsmanager.Secret": ("secretsmanager", "secret:hm-mlflow/{}-AbCdEf"),
    "servicediscovery.Service": ("servicediscovery", "service/srv-0123456789abcdef"),
    "sns.Topic": ("sns", "{}"),
    "wafv2.IpSet": ("wafv2", "global/ipset/{}/12345678-90ab-cdef-1234-567890abcdef"),
    "wafv2.WebAcl": ("wafv2", "global/webacl/{}/12345678-90ab-cdef-1234-567890abcdef"),
}
