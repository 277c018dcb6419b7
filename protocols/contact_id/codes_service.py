"""Codes 600-999: tests, logs, schedules, people, service; 750-789 are made in `codes`.

`code|English|Chinese[|restore or end in English|in Chinese]`.
"""

TABLE = """
601|Manual test report|手动测试报告
602|Periodic test report|定期测试报告
603|Periodic radio test|定期无线测试
604|Fire test begun|火警测试开始|Fire test ended|火警测试结束
605|Status report follows|随后上报状态
606|Listen-in follows|随后监听
607|Walk test begun|步测开始|Walk test ended|步测结束
608|Periodic test report, trouble present|定期测试报告（存在故障）
609|Video transmission begun|视频传输开始|Video transmission ended|视频传输结束
611|Point tested, in order|测试点正常
612|Point not tested|测试点未测试
613|Intrusion zone walk-tested|入侵防区已步测
614|Fire zone walk-tested|火警防区已步测
615|Panic zone walk-tested|紧急防区已步测
616|Service asked for|请求维修
621|Event log cleared|事件日志已清除
622|Event log half full|事件日志已满 50%
623|Event log nearly full|事件日志已满 90%
624|Event log overflowed, events lost|事件日志溢出，有事件丢失
625|Clock set|时间已校准
626|Clock not accurate|时间不准确
627|Programming begun|进入编程
628|Programming ended|退出编程
629|32-hour mark of the event log|事件日志 32 小时标记
630|Schedule changed|时间表已更改
631|Exception schedule changed|例外时间表已更改
632|Access schedule changed|门禁时间表已更改
641|Senior watch: no movement|老人看护：无活动
642|Child came home|儿童回家撤防
643|Restricted door opened|限制门打开|Restricted door closed|限制门关闭
645|Help arrived|援助人员已到
646|More help needed|需要增援
647|More help no longer needed|取消增援
651|Reserved by Ademco (651)|安定宝保留（651）
652|Reserved by Ademco (652)|安定宝保留（652）
653|Reserved by Ademco (653)|安定宝保留（653）
654|System not used for days|系统多日未操作
655|User code changed by the installer|安装人员更改用户密码
703|Auxiliary 3 (old Ademco)|辅助 3（旧安定宝）
704|Installer test (old Ademco)|安装人员测试（旧安定宝）
796|Derived channel: no output signal|派生信道：无输出信号
798|Derived channel: controller down|派生信道：控制器停机
900|Download broken off|下载中止
901|Download begun|下载开始|Download ended|下载结束
902|Download interrupted|下载中断
903|Device update begun|设备升级开始|Device update complete|设备升级完成
904|Device update failed|设备升级失败
910|Automatic arming with a bypass|自动布防（带旁路）
911|Closing with bypass|带旁路布防
912|Fire alarm silenced|火警消音
913|Supervision test begun|监管点测试开始|Supervision test ended|监管点测试结束
914|Hold-up test begun|劫持测试开始|Hold-up test ended|劫持测试结束
915|Burglary test print begun|盗窃测试打印开始|Burglary test print ended|盗窃测试打印结束
916|Supervision test print begun|监管测试打印开始|Supervision test print ended|监管测试打印结束
917|Burglary diagnostics begun|盗窃诊断开始|Burglary diagnostics ended|盗窃诊断结束
918|Fire diagnostics begun|火警诊断开始|Fire diagnostics ended|火警诊断结束
919|Diagnostics begun|诊断开始|Diagnostics ended|诊断结束
920|Armed with an alarm during exit|外出期间报警下布防
921|Access denied: code unknown|门禁拒绝：密码未知
922|Supervised point in alarm|监管点报警
923|Supervised point bypassed|监管点旁路|Supervised point bypass ended|监管点旁路解除
924|Supervised point trouble|监管点故障
925|Hold-up point bypassed|劫持点旁路|Hold-up point bypass ended|劫持点旁路解除
926|Mains power lost for four hours|市电断电超过 4 小时
927|Output trouble|输出故障
928|User who caused the event before|上一事件的用户
929|User logged off|用户已注销
954|Connection of the centre failed|中心连接失败
961|Receiver lost its database|接收机数据库连接失败
962|Receiver's licence expires|接收机许可即将到期
999|Event log not read for 32 hours|事件日志 32 小时未读取
"""
